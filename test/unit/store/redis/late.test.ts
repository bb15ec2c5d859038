import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { FinishedRequest } from "../../../../src/core/request.ts";
import { Authorizer } from "../../../../src/gateway/front/authorize.ts";
import { KeyRing } from "../../../../src/keys/key-ring.ts";
import { RedisStore } from "../../../../src/store/redis/store.ts";
import { UsageLedger } from "../../../../src/telemetry/usage.ts";
import { eventually } from "../../../support/assistant.ts";
import { startRedis } from "../../../support/redis.ts";
import { documentsIn } from "../../../support/store.ts";

test("a daemon that starts without its Redis has the keys that it read last, and adds to the usage once it is there", async () => {
  await using redis = await startRedis();
  const dataDir = await mkdtemp(join(tmpdir(), "assistant-late-"));
  const documents = documentsIn(dataDir);
  const reports: string[] = [];
  const opened = (report: (problem: string) => void) => RedisStore.open({ url: redis.url, report, isRequired: false });
  const ringOf = (store: RedisStore) => new KeyRing({ store, documents, paths: { dataDir }, configured: () => [] });
  const request = { tenant: "anna", model: "river", promptTokens: 10, cachedTokens: 0, completionTokens: 5 };

  const before = await opened(() => {});
  const ring = ringOf(before);
  await ring.open();
  const { secret } = await ring.create({ name: "anna" });
  const usage = await UsageLedger.open({ store: before, documents }, Date.now());
  usage.note([request as FinishedRequest]);
  await usage.save();
  await redis.kill();
  await before.close();

  const late = await opened((problem) => reports.push(problem));
  expect(late.problems).toEqual([expect.stringContaining("cannot be reached")]);
  const lateRing = ringOf(late);
  await lateRing.open();
  expect(new Authorizer(() => lateRing.keys).authorize(secret, "inference").caller.tenant).toBe("anna");
  expect(() => new Authorizer(() => lateRing.keys).authorize(null, "inference")).toThrow();
  const lateUsage = await UsageLedger.open({ store: late, documents }, Date.now());
  lateUsage.note([request as FinishedRequest]);
  await expect(lateUsage.save()).rejects.toMatchObject({ code: "store_unavailable", retryAfterS: 5 });

  let heard = 0;
  using _watching = lateRing.watch(() => {});
  lateRing.changed.add(() => void heard++);
  await redis.start();
  await eventually("the store is there", () =>
    lateUsage.save().then(
      () => true,
      () => false,
    ),
  );
  expect(lateUsage.report().usage).toMatchObject([{ tenant: "anna", requests: 2, completionTokens: 10 }]);
  expect(late.problems).toEqual([]);
  const other = ringOf(late);
  await other.open();
  await other.revoke("anna", { forget: false });
  await lateRing.load();
  expect(heard).toBe(1);
  expect(reports.map((report) => report.replace(/.*(cannot be reached|is back).*/, "$1"))).toEqual([
    "cannot be reached",
    "is back",
  ]);
  await late.close();
  await rm(dataDir, { recursive: true });
});
