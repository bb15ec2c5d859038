import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { type Clock, systemClock } from "../../../src/core/clock.ts";
import { AssistantError } from "../../../src/core/errors.ts";
import type { AnswerSink, InferenceCall } from "../../../src/core/inference.ts";
import { RedisStore } from "../../../src/store/redis/store.ts";
import type { TaskEvent } from "../../../src/tasks/follow.ts";
import { TaskLedger } from "../../../src/tasks/ledger.ts";
import type { TaskOrder } from "../../../src/tasks/record.ts";
import { Tasks } from "../../../src/tasks/tasks.ts";
import { startRedis, type TestRedis } from "../../support/redis.ts";
import { taskOrder, taskSettings } from "../../support/tasks.ts";

const caller = { tenant: "ann", models: null };
const order = taskOrder("river:1b");
const settings = taskSettings(1);
const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** A daemon's tasks. */
interface Member {
  readonly store: RedisStore;
  readonly tasks: Tasks;
  /** Calls that wait for their answer, in the order of their arrival. */
  readonly calls: {
    readonly text: string;
    say(text: string): void;
    answer(): void;
    refuse(): void;
    readonly isCancelled: () => boolean;
  }[];
}

let redis: TestRedis;
let members: Member[];
let database = 0;

async function join(serves = true, clock = systemClock): Promise<Member> {
  const store = await RedisStore.open({ url: `${redis.url}/${database}`, report: () => {} });
  const calls: Member["calls"] = [];
  const run = (call: InferenceCall, sink: AnswerSink): Promise<void> =>
    new Promise((resolve) => {
      let isCancelled = false;
      call.cancellation.onCancel = () => {
        isCancelled = true;
        sink.abort();
        resolve();
      };
      const say = (content: string): void => {
        sink.head(200, ["x-assistant-model", call.selector.model]);
        sink.chunk(Buffer.from(`data: ${JSON.stringify({ choices: [{ delta: { content } }] })}\n\n`));
      };
      const answer = (): void => {
        say("done");
        sink.end();
        resolve();
      };
      const refuse = (): void => {
        sink.fail(new AssistantError("shutting_down", "The daemon is stopping."), [], true);
        resolve();
      };
      const { messages } = call.body.json as unknown as { messages: { content: string }[] };
      calls.push({ text: messages[0]?.content ?? "", say, answer, refuse, isCancelled: () => isCancelled });
    });
  const tasks = new Tasks({
    store,
    inference: { run },
    decode: (json) => ({ body: { json, bytes: Buffer.from("") }, prompt: {}, maxTokens: null }),
    callerOf: () => caller,
    settings: () => settings,
    slotsOf: () => null,
    cluster: { connection: store.connection, serves: () => serves, lostAfterMs: 10_000 },
    clock,
    log,
  });
  await tasks.start();
  const member = { store, tasks, calls };
  members.push(member);
  return member;
}

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(async () => {
  await redis?.[Symbol.asyncDispose]();
});
beforeEach(() => {
  members = [];
  database += 1;
});
afterEach(async () => {
  for (const { tasks } of members) tasks.close();
  for (const { calls } of members) for (const { answer } of calls) answer();
  for (const { tasks, store } of members) {
    await tasks.settled();
    await store.close();
  }
});

const asked = (text: string, more: Partial<TaskOrder> = {}): TaskOrder => ({
  ...order,
  ...more,
  request: { messages: [{ role: "user", content: text }] },
});
const create = async ({ tasks }: Member, ...orders: TaskOrder[]): Promise<string[]> =>
  (await tasks.create(orders, caller, { traceId: "req_1", trace: null })).map(({ id }) => id);
const ended = async ({ tasks }: Member, id: string): Promise<string> => {
  for await (const event of tasks.follow(id, null)) if (event.type === "end") return event.task.value.status;
  return "no end";
};
/** What comes of an output up to and with some words; a restart is a fault. */
async function until(events: AsyncGenerator<TaskEvent>, last: string): Promise<string> {
  let text = "";
  while (!text.endsWith(last)) {
    const { value } = await events.next();
    if (value?.type === "end" || value?.type === "restart") throw new Error(`${value.type} after ${text}`);
    if (value?.type === "text") text += value.text;
  }
  return text;
}
const called = ({ calls }: Member, count: number): Promise<void> =>
  expect.poll(() => calls.length, { interval: 5, timeout: 15_000 }).toBe(count);

test("tasks start by priority, equal ones in the order in which they were made, scheduled ones at their time", async () => {
  const one = await join();
  const [first = ""] = await create(one, asked("first"));
  await called(one, 1);
  await create(
    one,
    asked("low a", { priority: 1 }),
    asked("later", { priority: 100, runAt: Date.now() + 500 }),
    asked("high", { priority: 50.5 }),
    asked("low b", { priority: 1 }),
  );
  one.calls[0]?.answer();
  expect(await ended(one, first)).toBe("completed");
  for (let count = 2; count <= 4; count++) {
    await called(one, count);
    one.calls[count - 1]?.answer();
  }
  await called(one, 5);
  const order = one.calls.map(({ text }) => text);
  expect(order.filter((text) => text !== "later")).toEqual(["first", "high", "low a", "low b"]);
  expect(order).toContain("later");
});

test("each task runs on one of the daemons that have its model, and any of them shows and follows it", async () => {
  const [one, other, stranger] = [await join(), await join(), await join(false)];
  const ids = await create(stranger, asked("a"), asked("b"));
  await called(one, 1);
  await called(other, 1);
  for (const { calls } of [one, other]) calls[0]?.answer();
  expect(await Promise.all(ids.map((id) => ended(stranger, id)))).toEqual(["completed", "completed"]);
  expect([one.calls[0]?.text, other.calls[0]?.text].sort()).toEqual(["a", "b"]);
  expect(stranger.calls).toEqual([]);
});

test("whoever follows a task on another daemon gets its text from the start and as it comes", async () => {
  const [one, other] = [await join(), await join(false)];
  const [id = ""] = await create(other, asked("long"));
  const early = other.tasks.follow(id, null);
  expect((await early.next()).value).toMatchObject({ type: "status" });
  await called(one, 1);
  one.calls[0]?.say("Once ");
  expect(await until(early, "Once ")).toBe("Once ");
  one.calls[0]?.say("upon a time ");
  const late = other.tasks.follow(id, null);
  expect(await until(late, "time ")).toBe("Once upon a time ");
  one.calls[0]?.answer();
  expect(await until(late, "done")).toBe("done");
  // The news of its end may overtake the last of its text.
  const rest: unknown[] = [];
  for await (const event of late) rest.push(event);
  expect(rest.at(-1)).toMatchObject({ type: "end", task: { value: { status: "completed" } } });
  await early.return(undefined);
});

test("a task that is cancelled on one daemon ends on the one that runs it", async () => {
  const one = await join();
  const [id = ""] = await create(one, asked("long"));
  await called(one, 1);
  const other = await join(false);
  await other.tasks.cancel(id, null);
  await expect.poll(() => one.calls[0]?.isCancelled(), { timeout: 10_000 }).toBe(true);
  expect((await one.tasks.get(id, null)).value.status).toBe("cancelled");
});

test("what runs when a daemon stops goes to another one", async () => {
  const one = await join();
  const [id = ""] = await create(one, asked("moved"));
  await called(one, 1);
  const other = await join();
  one.tasks.close();
  one.calls[0]?.refuse();
  await called(other, 1);
  other.calls[0]?.answer();
  expect(await ended(other, id)).toBe("completed");
});

test("a task that was stored without a job is found when a daemon starts, and later", async () => {
  const hasty: Clock = {
    ...systemClock,
    monotonic: () => systemClock.monotonic() * 200,
    after: (delayMs, callback) => systemClock.after(delayMs / 200, callback),
  };
  const store = await RedisStore.open({ url: `${redis.url}/${database}`, report: () => {} });
  const lost = new TaskLedger({
    store,
    retentionMs: () => 60_000,
    now: systemClock.now,
    changed: () => {},
    announce: async () => ({ done: Promise.resolve() }),
  });
  const origin = { tenant: caller.tenant, traceId: "req_1", trace: null };
  await lost.create([asked("before")], origin);
  const one = await join(true, hasty);
  await called(one, 1);
  one.calls[0]?.answer();
  await lost.create([asked("after")], origin);
  await called(one, 2);
  expect(one.calls.map(({ text }) => text)).toEqual(["before", "after"]);
  await store.close();
});

test("a daemon refuses a task when those of all daemons together are too many", async () => {
  const [one, other] = [await join(false), await join(false)];
  await create(one, ...Array.from({ length: 5 }, () => order));
  await expect
    .poll(
      () =>
        create(other, order).then(
          () => "taken",
          (error: { code: string }) => error.code,
        ),
      { timeout: 10_000 },
    )
    .toBe("queue_full");
});
