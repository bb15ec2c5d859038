import { expect, test } from "vitest";
import { isEnded, moved, newTask, type TaskOrder, taskStatuses, transitions } from "../../../src/tasks/record.ts";

const order: TaskOrder = {
  model: "river",
  fallbacks: [],
  request: { messages: [] },
  schema: null,
  repair: false,
  priority: 20,
  runAt: null,
  maxAttempts: 3,
  webhookUrl: null,
  idempotencyKey: null,
};
const made = (more: Partial<TaskOrder> = {}) =>
  newTask({ ...order, ...more }, { traceId: "req_1", trace: null, now: 1_000 });
const entry = { at: 2_000, level: "info", message: "moved" } as const;

test("a new task waits in the lane of its model, by priority", () => {
  expect(made()).toMatchObject({ status: "pending", lane: "river", rank: -20, dueAt: null });
});

test("a task that starts later is in no lane; a time that has passed means now", () => {
  expect(made({ runAt: 5_000 })).toMatchObject({ lane: null, dueAt: 5_000 });
  expect(made({ runAt: 500 })).toMatchObject({ lane: "river", dueAt: null });
});

test.each(taskStatuses.flatMap((from) => taskStatuses.map((to) => [from, to] as const)))(
  "from %s to %s, as the table says",
  (from, to) => {
    const move = () => moved({ ...made(), status: from }, to, {}, entry);
    if (transitions[from].includes(to)) expect(move()).toMatchObject({ status: to, lane: null, updatedAt: 2_000 });
    else expect(move).toThrow(`A task that is ${from} cannot become ${to}.`);
  },
);

test("completed, failed and cancelled are ends", () => {
  expect(taskStatuses.filter(isEnded)).toEqual(["completed", "failed", "cancelled"]);
});

test("the log keeps its last 100 entries", () => {
  const busy = { ...made(), logs: Array.from({ length: 100 }, (_, at) => ({ ...entry, at })) };
  const { logs } = moved(busy, "processing", {}, entry);
  expect([logs.length, logs[0]?.at, logs.at(-1)?.at]).toEqual([100, 1, 2_000]);
});
