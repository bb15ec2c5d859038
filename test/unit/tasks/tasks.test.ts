import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import type { ApiKey } from "../../../src/core/config.ts";
import { AssistantError } from "../../../src/core/errors.ts";
import type { AnswerSink, InferenceCall } from "../../../src/core/inference.ts";
import { Authorizer } from "../../../src/gateway/front/authorize.ts";
import { SqliteStore } from "../../../src/store/sqlite/store.ts";
import { idempotencyCollection, type TaskOrder } from "../../../src/tasks/record.ts";
import { Tasks } from "../../../src/tasks/tasks.ts";
import { taskOrder, taskSettings } from "../../support/tasks.ts";

const caller = { tenant: "ann", models: null };
const order = taskOrder("river");
const settings = taskSettings(2);
const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

let directory: string;
let store: SqliteStore;
/** Calls that wait for their answer, in the order of their arrival. */
let calls: { readonly call: InferenceCall; readonly sink: AnswerSink; answer(text: string): void }[];
let tasks: Tasks;
let keys: readonly ApiKey[];

function makeTasks(): Tasks {
  const run = (call: InferenceCall, sink: AnswerSink): Promise<void> =>
    new Promise((resolve) => {
      call.cancellation.onCancel = () => {
        sink.abort();
        resolve();
      };
      const answer = (text: string): void => {
        sink.head(200, ["x-assistant-model", call.selector.model]);
        sink.chunk(Buffer.from(`data: ${JSON.stringify({ choices: [{ delta: { content: text } }] })}\n\n`));
        sink.end();
        resolve();
      };
      calls.push({ call, sink, answer });
    });
  return new Tasks({
    store,
    inference: { run },
    decode: (json) => ({ body: { json, bytes: Buffer.from("") }, prompt: {}, maxTokens: null }),
    callerOf: (tenant) => new Authorizer(() => keys).callerOf(tenant),
    settings: () => settings,
    slotsOf: () => null,
    cluster: null,
    clock: systemClock,
    log,
    random: () => 0,
  });
}

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "assistant-tasks-"));
  store = new SqliteStore({ directory, report: () => {} });
  calls = [];
  keys = [{ name: "ann", sha256: "" }];
  tasks = makeTasks();
});
afterEach(async () => {
  tasks.close();
  await store.close();
  await rm(directory, { recursive: true, force: true });
});

const create = async (...orders: Partial<TaskOrder>[]): Promise<string[]> =>
  (
    await tasks.create(
      orders.map((more) => ({ ...order, ...more })),
      caller,
      { traceId: "req_1", trace: null },
    )
  ).map(({ id }) => id);
const ended = async (id: string): Promise<string> => {
  for await (const event of tasks.follow(id, null)) if (event.type === "end") return event.task.value.status;
  return "no end";
};
const called = (count: number): Promise<void> =>
  expect.poll(() => calls.length, { interval: 5, timeout: 10_000 }).toBe(count);

test("as many run at once as may, and the next begins when one has ended", async () => {
  await tasks.start();
  const [first = "", , third = ""] = await create({}, {}, {});
  await called(2);
  calls[0]?.answer("one");
  expect(await ended(first)).toBe("completed");
  await called(3);
  calls[2]?.answer("three");
  expect(await ended(third)).toBe("completed");
  expect((await tasks.get(third, null)).value.result).toMatchObject({ text: "three", model: "river" });
});

test("what is closed while it starts begins nothing", async () => {
  await create({});
  const watch = vi.spyOn(store, "watch");
  const started = tasks.start();
  tasks.close();
  await started;
  expect(watch).not.toHaveBeenCalled();
  expect(calls).toEqual([]);
});

test("two requests with one key at once are one task", async () => {
  const keyed = { idempotencyKey: "once" };
  const [[a], [b], [c, d]] = await Promise.all([create(keyed), create(keyed), create(keyed, keyed)]);
  expect(new Set([a, b, c, d]).size).toBe(1);
  expect((await tasks.list(null, { status: null, limit: 10, after: null })).records).toHaveLength(1);
});

test("a key whose task was deleted makes a new one", async () => {
  await tasks.start();
  const [first = ""] = await create({ idempotencyKey: "once" });
  await tasks.cancel(first, "ann");
  await tasks.remove(first, "ann");
  const [second] = await create({ idempotencyKey: "once" });
  expect(second).not.toBe(first);
});

test("deleting an old task leaves its key to the task that has it now", async () => {
  const keyed = { idempotencyKey: "daily" };
  const [first = ""] = await create(keyed);
  const keys = store.collection(idempotencyCollection);
  // As after a day.
  const { records } = await keys.list({ limit: 10 });
  await store.commit(records.map(({ id }) => keys.remove(id)));
  const [second] = await create(keyed);
  await tasks.cancel(first, "ann");
  await tasks.remove(first, "ann");
  expect(await create(keyed)).toEqual([second]);
});

test("nobody sees, cancels or deletes another's tasks", async () => {
  const [id = ""] = await create({});
  const hidden = { code: "task_not_found" };
  await expect(tasks.get(id, "bob")).rejects.toMatchObject(hidden);
  await expect(tasks.cancel(id, "bob")).rejects.toMatchObject(hidden);
  await expect(tasks.remove(id, "bob")).rejects.toMatchObject(hidden);
  await expect(tasks.follow(id, "bob").next()).rejects.toMatchObject(hidden);
  expect((await tasks.list("bob", { status: null, limit: 10, after: null })).records).toEqual([]);
  expect((await tasks.list("ann", { status: "pending", limit: 10, after: null })).records).toHaveLength(1);
});

test("more than may wait are refused, all of them", async () => {
  await create({}, {}, {});
  await expect(create({}, {}, {})).rejects.toMatchObject({ code: "queue_full" });
  expect((await tasks.list(null, { status: null, limit: 10, after: null })).records).toHaveLength(3);
});

test("a task that is cancelled while it runs stays cancelled, whatever its answer", async () => {
  await tasks.start();
  const [id = ""] = await create({});
  await called(1);
  expect((await tasks.cancel(id, null)).value.status).toBe("cancelled");
  calls[0]?.answer("too late");
  await tasks.settled();
  expect((await tasks.get(id, null)).value).toMatchObject({ status: "cancelled", result: null });
});

test("what was running at a stop is taken up at the next start, and the attempt does not count", async () => {
  await tasks.start();
  const [id = ""] = await create({});
  await called(1);
  tasks.close();
  calls[0]?.sink.fail(new AssistantError("engine_stopped", "The engine was stopped."), [], true);
  // The call itself ends with its sink.
  calls[0]?.call.cancellation.onCancel?.(new Error("over"));
  await tasks.settled();
  expect((await tasks.get(id, null)).value).toMatchObject({ status: "processing", attempts: 0 });
  tasks = makeTasks();
  await tasks.start();
  await called(2);
  calls[1]?.answer("now");
  expect(await ended(id)).toBe("completed");
});

test("a reader who comes late gets the output from its start, and what follows", async () => {
  await tasks.start();
  const [id = ""] = await create({});
  await called(1);
  const { sink } = calls[0] ?? {};
  const send = (text: string): unknown =>
    sink?.chunk(Buffer.from(`data: ${JSON.stringify({ choices: [{ delta: { content: text } }] })}\n\n`));
  send("one ");
  send("two ");
  let text = "";
  for await (const event of tasks.follow(id, null)) {
    if (event.type !== "text") continue;
    text += event.text;
    if (text === "one two ") calls[0]?.answer("three");
  }
  expect(text).toBe("one two three");
});

test("a schema that cannot be used is refused", async () => {
  await expect(create({ schema: { type: "nonsense" } })).rejects.toMatchObject({
    code: "invalid_request",
    param: "output_schema",
  });
});

describe("a task runs with the rights that its key has by then", () => {
  const failure = async (id: string): Promise<unknown> => {
    expect(await ended(id)).toBe("failed");
    return (await tasks.get(id, null)).value.error;
  };

  test.each([
    ["was revoked", [{ name: "ann", sha256: "", isRevoked: true }]],
    ["has expired", [{ name: "ann", sha256: "", expiresAt: 1 }]],
    ["no longer exists", [{ name: "ben", sha256: "" }]],
    ["no longer exists", []],
  ])("that %s: it asks no model, its fallbacks neither", async (problem, then) => {
    const [id = ""] = await create({ fallbacks: ["lake"], maxAttempts: 3 });
    keys = then;
    await tasks.start();
    expect(await failure(id)).toEqual({ code: "invalid_api_key", message: `The API key "ann" ${problem}.` });
    expect(calls).toEqual([]);
  });

  test("that lost its models or its scope", async () => {
    const [id = ""] = await create({});
    keys = [{ name: "ann", sha256: "", scopes: ["metrics"] }];
    await tasks.start();
    expect(await failure(id)).toMatchObject({ code: "insufficient_scope" });
    keys = [{ name: "ann", sha256: "", models: ["lake"] }];
    await create({});
    await called(1);
    expect(calls[0]?.call.caller).toEqual({ tenant: "ann", models: ["lake"] });
  });

  test("that was rotated: it goes on, whatever became of the old secret", async () => {
    await create({});
    keys = [
      { name: "ann", sha256: "", expiresAt: 1 },
      { name: "ann", sha256: "" },
    ];
    await tasks.start();
    await called(1);
  });
});
