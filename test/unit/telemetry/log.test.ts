import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type DaemonLog, openLog } from "../../../src/telemetry/log.ts";

async function linesOf(
  write: (log: DaemonLog["log"], daemonLog: DaemonLog) => void,
): Promise<Record<string, unknown>[]> {
  const directory = await mkdtemp(join(tmpdir(), "assistant-log-"));
  try {
    const daemonLog = await openLog({ level: "info", directory, alsoTo: null });
    write(daemonLog.log, daemonLog);
    await daemonLog.flush();
    const text = await readFile(join(directory, "current.log"), "utf8");
    return text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

test("secrets are hidden, in a line's fields and in the objects they hold, and the caller's objects stay as they are", async () => {
  const headers = { Authorization: "Bearer s3cret", accept: "*/*" };
  const [line] = await linesOf((log) =>
    log.info(
      { headers, apiKey: "s3cret", remote: { token: "s3cret", name: "attic" }, tokens: 3, path: "/v1" },
      "called",
    ),
  );
  expect(line).toMatchObject({
    headers: { Authorization: "[redacted]", accept: "*/*" },
    apiKey: "[redacted]",
    remote: { token: "[redacted]", name: "attic" },
    tokens: 3,
    path: "/v1",
    msg: "called",
  });
  expect(JSON.stringify(line)).not.toContain("s3cret");
  expect(headers.Authorization).toBe("Bearer s3cret");
});

test("the line of a request is what the part's logger would write", async () => {
  const fields = { id: "req_1", model: "größe", status: null, queueMs: 0.1, stream: true, error: 'it said "no"\n' };
  const [plain, quick, ...more] = await linesOf((_, daemonLog) => {
    daemonLog.part("gateway").warn(fields, "request");
    daemonLog.requests("gateway")("warn", fields);
    daemonLog.setLevel("error");
    daemonLog.requests("gateway")("warn", fields);
  });
  expect(more).toEqual([]);
  expect({ ...quick, time: 0 }).toEqual({ ...plain, time: 0 });
  expect(quick?.["time"]).toBeGreaterThanOrEqual(plain?.["time"] as number);
});

test("errors keep their message and stack", async () => {
  const [line] = await linesOf((log) => log.warn({ err: new Error("broke") }, "failed"));
  expect(line).toMatchObject({
    err: { message: "broke", stack: expect.stringContaining("broke") as string },
    msg: "failed",
  });
});

test("what was logged is in the file, in order, once flushed", async () => {
  const lines = await linesOf((log) => {
    for (let index = 0; index < 100; index++) log.info({ index }, "line");
  });
  expect(lines.map((line) => line["index"])).toEqual(Array.from({ length: 100 }, (_, index) => index));
});

test("a change of the level reaches the parts", async () => {
  const directory = await mkdtemp(join(tmpdir(), "assistant-log-"));
  const daemonLog = await openLog({ level: "warn", directory, alsoTo: null });
  const fleet = daemonLog.part("fleet");
  const gateway = daemonLog.part("gateway");
  const say = (what: string): void => {
    fleet.info({}, what);
    gateway.info({ id: what }, "request");
  };
  say("before");
  daemonLog.setLevel("info");
  say("after");
  await daemonLog.flush();
  const lines = (await readFile(join(directory, "current.log"), "utf8"))
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as object);
  await rm(directory, { recursive: true });
  expect(lines).toMatchObject([
    { level: 30, part: "fleet", msg: "after" },
    { level: 30, part: "gateway", id: "after", msg: "request", time: expect.any(Number) as number },
  ]);
});
