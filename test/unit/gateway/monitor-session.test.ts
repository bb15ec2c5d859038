import { beforeEach, expect, test } from "vitest";
import { MAX_BEHIND_BYTES, MonitorSession } from "../../../src/gateway/doors/monitor/session.ts";
import type { Monitor } from "../../../src/monitor/monitor.ts";
import { testMonitor } from "../../support/monitor.ts";

let monitor: Monitor;
let session: MonitorSession;
let sent: { readonly type: string; readonly data?: { readonly n: number } }[];
let bufferedBytes: number;

beforeEach(() => {
  monitor = testMonitor();
  sent = [];
  bufferedBytes = 0;
  const peer = {
    send: (text: string) => void sent.push(JSON.parse(text)),
    get bufferedBytes() {
      return bufferedBytes;
    },
  };
  session = new MonitorSession(monitor, peer, null);
});

const say = (message: object): void => session.message(JSON.stringify(message));
const happen = (type: "log" | "task.queued" | "task.started" | "model.loaded", id: string | null = null, n = 0): void =>
  monitor.tell({ type, data: { n }, task: id === null ? null : { id, tenant: "ann" } });
const types = (): string[] => sent.splice(0).map(({ type }) => type);

test("a subscription replaces the one before, and what is unsubscribed is taken from it", () => {
  happen("log");
  say({ type: "subscribe", events: ["task.*", "model.loaded"] });
  for (const type of ["log", "task.queued", "model.loaded"] as const) happen(type);
  say({ type: "unsubscribe", events: ["task.*"] });
  for (const type of ["log", "task.queued", "model.loaded"] as const) happen(type);
  say({ type: "subscribe", events: [] });
  happen("model.loaded");
  expect(types()).toEqual([
    "connected",
    "log",
    "subscribed",
    "task.queued",
    "model.loaded",
    "unsubscribed",
    "model.loaded",
    "subscribed",
  ]);
});

test("a filter leaves out other tasks, and nothing that is about none", () => {
  say({ type: "filter_task", task_id: "task-1" });
  happen("task.queued", "task-1");
  happen("task.queued", "task-2");
  happen("model.loaded");
  say({ type: "filter_task", task_id: null });
  happen("task.queued", "task-2");
  expect(types()).toEqual(["connected", "filter_set", "task.queued", "model.loaded", "filter_set", "task.queued"]);
});

test.each([
  ["not JSON", "JSON object"],
  ["[]", "JSON object"],
  ["{}", "found nothing"],
  ['{"type":"subscribe"}', "events: expected a list"],
  ['{"type":"subscribe","events":"*"}', "events: expected a list"],
  [JSON.stringify({ type: "subscribe", events: Array(101).fill("*") }), "at most 100"],
  ['{"type":"subscribe","events":["log","task.slept"]}', "events[1]"],
  ['{"type":"filter_task"}', "task_id: expected"],
])("%s is answered with an error, and changes nothing", (text, message) => {
  session.message(text);
  happen("log");
  expect(sent[1]).toMatchObject({ type: "error", message: expect.stringContaining(message) });
  expect(sent[2]).toMatchObject({ type: "log" });
});

test("whoever is behind loses events, and learns how many before the next one", () => {
  happen("log", null, 1);
  bufferedBytes = MAX_BEHIND_BYTES + 1;
  for (const n of [2, 3, 4]) happen("log", null, n);
  session.drained();
  expect(sent.length).toBe(2);
  bufferedBytes = 0;
  session.drained();
  happen("log", null, 5);
  expect(sent.slice(1)).toMatchObject([
    { type: "log", data: { n: 1 } },
    { type: "dropped", data: { count: 3 } },
    { type: "log", data: { n: 5 } },
  ]);
});

test("who is gone is told nothing", () => {
  session.closed();
  expect(monitor.isWatched).toBe(false);
});
