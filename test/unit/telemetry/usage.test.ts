import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { FinishedRequest } from "../../../src/core/request.ts";
import { UsageLedger } from "../../../src/telemetry/usage.ts";
import { documentsIn } from "../../support/store.ts";

let folder: string;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "assistant-usage-"));
  file = join(folder, "usage.json");
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const request = (fields: Partial<FinishedRequest>): FinishedRequest => ({
  id: "1",
  route: "/v1/chat/completions",
  model: "river",
  instance: "river@cpu",
  tenant: "anna",
  status: 200,
  queueMs: 1,
  ttftMs: 2,
  totalMs: 3,
  promptTokens: 10,
  cachedTokens: 4,
  completionTokens: 5,
  end: "complete",
  ...fields,
});

const row = (tenant: string, model: string, counts: readonly number[]): object => {
  const [requests, failed, promptTokens, cachedTokens, completionTokens] = counts;
  return { tenant, model, requests, failed, promptTokens, cachedTokens, completionTokens };
};

test("requests and tokens are added up by tenant and model; what the engine did not tell counts as none", async () => {
  const ledger = await UsageLedger.open(documentsIn(folder), 1_000);
  ledger.note(request({ tenant: "ben" }));
  ledger.note(request({}));
  ledger.note(request({ promptTokens: 1, cachedTokens: null, completionTokens: null, end: "cancelled" }));
  ledger.note(
    request({
      model: null,
      promptTokens: null,
      cachedTokens: null,
      completionTokens: null,
      end: "rejected",
      code: "model_not_found",
    }),
  );
  expect(ledger.report()).toEqual({
    since: 1_000,
    usage: [
      row("anna", "", [1, 1, 0, 0, 0]),
      row("anna", "river", [2, 0, 11, 4, 5]),
      row("ben", "river", [1, 0, 10, 4, 5]),
    ],
  });
});

test("what was saved is taken up, with the time since which it was counted, and others cannot read it", async () => {
  const before = await UsageLedger.open(documentsIn(folder), 1_000);
  before.note(request({}));
  await before.save();
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  const after = await UsageLedger.open(documentsIn(folder), 2_000);
  after.note(request({}));
  expect(after.report()).toEqual({ since: 1_000, usage: [row("anna", "river", [2, 0, 20, 8, 10])] });
});

test("nothing is written while nothing happens, and what could not be written is written the next time", async () => {
  const later = join(folder, "data");
  await writeFile(later, "a file where the directory should be");
  const ledger = await UsageLedger.open(documentsIn(later), 1_000);
  await ledger.save();
  ledger.note(request({}));
  await expect(ledger.save()).rejects.toThrow();
  await rm(later);
  await ledger.save();
  expect((await UsageLedger.open(documentsIn(later), 2_000)).report()).toEqual(ledger.report());
});

test.each(["", "{", "[]", '{"since":1,"usage":[{"tenant":"a"}]}', '{"since":"x","usage":[]}'])(
  "a file that holds %j is set aside, and counting starts again",
  async (text) => {
    await writeFile(file, text);
    const ledger = await UsageLedger.open(documentsIn(folder), 5_000);
    expect(ledger.report()).toEqual({ since: 5_000, usage: [] });
    expect(await readFile(file, "utf8")).toBe(text);
    ledger.note(request({}));
    await ledger.save();
    expect(JSON.parse(await readFile(file, "utf8"))).toEqual(ledger.report());
    const [aside = ""] = (await readdir(folder)).filter((name) => name.startsWith("usage.json.damaged-"));
    expect(await readFile(join(folder, aside), "utf8")).toBe(text);
  },
);

test("the usage of a newer version is neither read nor replaced", async () => {
  const newer = '{"schema":2,"since":1,"tenants":{}}';
  await writeFile(file, newer);
  await expect(UsageLedger.open(documentsIn(folder), 5_000)).rejects.toMatchObject({ code: "data_newer" });
  expect(await readFile(file, "utf8")).toBe(newer);
});
