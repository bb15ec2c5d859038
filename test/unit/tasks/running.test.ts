import { expect, test } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { noConversations } from "../../../src/tasks/conversation.ts";
import type { StoredTask } from "../../../src/tasks/ledger.ts";
import { Outputs } from "../../../src/tasks/output.ts";
import { newTask } from "../../../src/tasks/record.ts";
import { type RunningOptions, RunningTasks } from "../../../src/tasks/running.ts";
import { taskOrder } from "../../support/tasks.ts";

test("a task that another daemon cancels while its claim is under way ends", async () => {
  const value = newTask(taskOrder("river"), { traceId: "req_1", trace: null, now: 1 });
  const record = { id: "task_1", tenant: "ann", revision: 1, value } as StoredTask;
  const claimed = Promise.withResolvers<StoredTask>();
  const running = new RunningTasks({
    ledger: {
      replace: () => claimed.promise,
      tasks: { get: async () => ({ ...record, revision: 3 }) },
    } as unknown as RunningOptions["ledger"],
    inference: {
      run: (call, sink) =>
        new Promise((resolve) => {
          call.cancellation.onCancel = () => {
            sink.abort();
            resolve();
          };
        }),
    },
    decode: (json) => ({ body: { json, bytes: Buffer.from("") }, prompt: {}, maxTokens: null }),
    callerOf: (tenant) => ({ tenant, models: null }),
    requests: new Map(),
    outputs: new Outputs(),
    schemas: { check: async () => null },
    conversations: noConversations,
    job: () => undefined,
    clock: systemClock,
    random: () => 0,
    tracer: null,
    log: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
  });
  const claim = running.claim(record);
  // Its notification has overtaken the answer to the claim.
  const rechecked = running.recheck([record.id]);
  claimed.resolve({ ...record, revision: 2 });
  const own = await claim;
  const ended = running.run(own ?? record);
  await rechecked;
  await new Promise(setImmediate);
  expect(running.size).toBe(0);
  await ended;
});
