import { Cancellation } from "../core/cancellation.ts";
import type { Clock } from "../core/clock.ts";
import { AssistantError, presentable } from "../core/errors.ts";
import type { JsonObject } from "../core/inference.ts";
import type { Write } from "../core/store.ts";
import type { Span, Tracer } from "../core/trace.ts";
import { CallerGone } from "../core/upstream.ts";
import type { Log } from "../inference/ports.ts";
import type { TextAnswer } from "./answer-sink.ts";
import { mayFallBack, verdictOf } from "./attempts.ts";
import type { TaskConversations } from "./conversation.ts";
import { ask, type Execution, ROUTE } from "./execution.ts";
import type { Job } from "./jobs.ts";
import type { StoredTask, TaskLedger } from "./ledger.ts";
import type { Outputs } from "./output.ts";
import { info, laneOf, moved, type TaskLogEntry, type TaskRecord, type TaskResult } from "./record.ts";
import type { SchemaChecker } from "./schema/checker.ts";
import { beginTaskSpan, endTaskSpan } from "./task-span.ts";

/** After a failure of the store. */
const STORE_RETRY_MS = 1_000;

export interface RunningOptions extends Pick<Execution, "inference" | "decode" | "callerOf" | "requests"> {
  readonly ledger: TaskLedger;
  readonly outputs: Outputs;
  readonly schemas: Pick<SchemaChecker, "check">;
  readonly conversations: TaskConversations;
  /** Undefined: there is no such kind. */
  readonly job: (kind: string) => Job | undefined;
  readonly clock: Clock;
  readonly random: () => number;
  readonly tracer: Tracer | null;
  readonly log: Log;
}

interface Attempt {
  readonly cancellation: Cancellation;
  readonly span: Span | null;
}

interface Running {
  readonly cancellation: Cancellation;
  readonly ended: Promise<void>;
  /** Changes of the record since it was claimed. */
  readonly revision: number;
}

/** The running tasks, whoever chose them: one attempt of each, from its claim to its next status. */
export class RunningTasks {
  readonly #options: RunningOptions;
  readonly #running = new Map<string, Running>();
  /** Claims that are being stored: each may be this daemon's own, and be changed by others, before that is known here. */
  readonly #claiming = new Map<string, Promise<unknown>>();
  readonly #stopping = new AbortController();

  constructor(options: RunningOptions) {
    this.#options = options;
  }

  /** Ids of the tasks, the oldest first. */
  get ids(): string[] {
    return [...this.#running.keys()];
  }

  get size(): number {
    return this.#running.size;
  }

  /** Running attempts may end; those that fail from now on are left for the next start or another daemon. */
  stop(): void {
    this.#stopping.abort();
  }

  /** Resolves when no task is running. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all([...this.#running.values()].map(({ ended }) => ended));
  }

  /** Resolves when the task is not running here. */
  async ended(taskId: string): Promise<void> {
    await this.#running.get(taskId)?.ended;
  }

  /** Ends the running attempt of a task whose record already says so. */
  cancel(taskId: string): void {
    this.#running.get(taskId)?.cancellation.cancel(new CallerGone());
  }

  /**
   * Other daemons have changed these records, or possibly any (null): attempts that no longer belong to this daemon
   * end. Never rejects.
   */
  async recheck(taskIds: readonly string[] | null): Promise<void> {
    const { ledger, log } = this.#options;
    const own = new Set([...this.#running.keys(), ...this.#claiming.keys()]);
    for (const id of taskIds?.filter((each) => own.has(each)) ?? own) {
      try {
        await this.#claiming.get(id);
        const record = await ledger.tasks.get(id);
        const running = this.#running.get(id);
        // It may have ended here meanwhile, which is another change.
        if (record?.revision !== running?.revision) running?.cancellation.cancel(new CallerGone());
      } catch (error) {
        log.debug({ err: error, task: id }, "a task could not be read");
      }
    }
  }

  /**
   * Claims the task for this daemon. Null: it was changed meanwhile. A `processing` one was left by a daemon that
   * crashed.
   */
  async claim(record: StoredTask): Promise<StoredTask | null> {
    const claimed = this.#claim(record);
    this.#claiming.set(record.id, claimed);
    try {
      return await claimed;
    } finally {
      this.#claiming.delete(record.id);
    }
  }

  async #claim(record: StoredTask): Promise<StoredTask | null> {
    const { ledger, clock } = this.#options;
    const now = clock.now();
    const task = record.value.status === "processing" ? leftBehind(record.value, now) : record.value;
    const entry = info(now, `attempt ${task.attempts + 1} of ${task.maxAttempts} begins`);
    return await ledger.replace(record, moved(task, "processing", { startedAt: now }, entry));
  }

  /** Runs a claimed task. Never rejects. */
  async run(claimed: StoredTask): Promise<void> {
    const cancellation = new Cancellation();
    const ended = this.#run(claimed, cancellation);
    this.#running.set(claimed.id, { cancellation, ended, revision: claimed.revision });
    await ended;
  }

  async #run(record: StoredTask, cancellation: Cancellation): Promise<void> {
    try {
      const after = await this.#outcome(record, cancellation);
      if (after !== null) await this.#store(record, after);
    } finally {
      this.#running.delete(record.id);
      this.#options.outputs.end(record.id);
    }
  }

  /** The task's next state; null: it stays as it is, cancelled or to be resumed at the next start. */
  async #outcome(record: StoredTask, cancellation: Cancellation): Promise<TaskRecord | null> {
    const { clock, random, tracer } = this.#options;
    const span = beginTaskSpan(tracer, record);
    const task = record.value;
    const attempts = task.attempts + 1;
    const logs: TaskLogEntry[] = [];
    const told = (): TaskRecord => ({ ...task, logs: [...task.logs, ...logs] });
    try {
      const { text, finishReason, usage, model, reasoning } = await this.#result(record, { cancellation, span }, logs);
      const now = clock.now();
      const result = { text, finishReason, usage, model, reasoning };
      endTaskSpan(span, null);
      return moved(told(), "completed", { attempts, finishedAt: now, result, error: null }, info(now, "completed"));
    } catch (thrown) {
      const error = thrown instanceof CallerGone ? null : presentable(thrown);
      endTaskSpan(span, error);
      if (error === null) return null;
      const { maxAttempts } = task;
      const verdict = verdictOf({
        error,
        attempts,
        maxAttempts,
        isStopping: this.#stopping.signal.aborted,
        random: random(),
      });
      const now = clock.now();
      const { code, message } = error;
      const shown = { code, message };
      if (verdict.next === "leave") return null;
      if (verdict.next === "fail") {
        const entry: TaskLogEntry = { at: now, level: "error", message: `failed: ${code}: ${message}` };
        return moved(told(), "failed", { attempts, finishedAt: now, error: shown }, entry);
      }
      const again = `attempt ${attempts} failed, the next is in ${verdict.delayMs} ms: ${code}: ${message}`;
      const entry: TaskLogEntry = { at: now, level: "warning", message: again };
      return moved(told(), "pending", { attempts, dueAt: now + verdict.delayMs, error: shown }, entry);
    }
  }

  /** The result of the task, from its model or its job. */
  async #result(record: StoredTask, attempt: Attempt, logs: TaskLogEntry[]): Promise<TaskResult> {
    const { id, tenant, value } = record;
    if (value.job === undefined) return await this.#answer(record, attempt, logs);
    const job = this.#options.job(value.job.kind);
    if (job === undefined) throw new AssistantError("internal", `There is no job "${value.job.kind}".`);
    return await job.run({
      id,
      tenant,
      request: value.request,
      cancellation: attempt.cancellation,
      stopping: this.#stopping.signal,
    });
  }

  /** The answer of the task's model, or of the first fallback that has one. */
  async #answer(record: StoredTask, attempt: Attempt, logs: TaskLogEntry[]): Promise<TextAnswer> {
    const note = (message: string): void => {
      logs.push({ at: this.#options.clock.now(), level: "warning", message });
    };
    const { model, fallbacks } = record.value;
    let name = model;
    for (const next of [...fallbacks, null]) {
      try {
        return await this.#answerOf(record, name, attempt, note);
      } catch (thrown) {
        if (next === null || thrown instanceof CallerGone) throw thrown;
        const error = presentable(thrown);
        if (!mayFallBack(error)) throw thrown;
        note(`${name} cannot answer; trying ${next}: ${error.code}: ${error.message}`);
        name = next;
      }
    }
    throw new AssistantError("internal", "A task has no model.");
  }

  /** The answer of one model, which matches the schema if there is one. */
  async #answerOf(
    record: StoredTask,
    model: string,
    attempt: Attempt,
    note: (message: string) => void,
  ): Promise<TextAnswer> {
    const { inference, decode, callerOf, requests, outputs, schemas, conversations } = this.#options;
    const { request: own, schema, repair, conversation, priority } = record.value;
    const request =
      conversation === undefined
        ? own
        : await conversations.continued(conversation.id, own, {
            ...{
              model,
              cancellation: attempt.cancellation,
              route: ROUTE,
              priority: Math.round(priority),
              deadlineAt: null,
            },
            caller: callerOf(record.tenant),
          });
    const once = async (json: JsonObject): Promise<{ answer: TextAnswer; problem: string | null }> => {
      const { append } = outputs.begin(record.id);
      const answer = await ask(record, model, json, {
        ...{ inference, decode, callerOf, ...attempt, requests },
        onText: append,
      });
      return { answer, problem: schema === null ? null : await schemas.check(schema, answer.text) };
    };
    let { answer, problem } = await once(request);
    if (problem !== null && repair) {
      note(`asking the model to repair its answer: ${problem}`);
      ({ answer, problem } = await once(repairing(request, answer.text, problem)));
    }
    if (problem === null) return answer;
    const cut = answer.finishReason === "length" ? " It was cut off at `max_tokens`." : "";
    throw new AssistantError("output_invalid", `The answer does not match the JSON Schema: ${problem}.${cut}`);
  }

  /** Retries until the store accepts it: an answer that took minutes is not discarded because of a full disk. */
  async #store(record: StoredTask, after: TaskRecord): Promise<void> {
    const { ledger, clock, log, conversations } = this.#options;
    const { conversation, request, result } = after;
    // In the commit that ends the task, so that the conversation gets the turn exactly once, whatever is restarted.
    const turn = async (): Promise<readonly Write[]> =>
      conversation?.saves !== true || after.status !== "completed" || result === null
        ? []
        : await conversations.adding(record.tenant, conversation.id, request, result.text);
    for (;;) {
      try {
        await ledger.replace(record, after, turn);
        return;
      } catch (error) {
        log.warn({ err: error, task: record.id }, "the end of a task could not be stored; trying again");
        if (this.#stopping.signal.aborted) return;
        await new Promise<void>((resolve) => clock.after(STORE_RETRY_MS, resolve));
      }
    }
  }
}

/** The task of a daemon that ended, waiting again. */
export const leftBehind = (task: TaskRecord, now: number): TaskRecord =>
  moved(task, "pending", { lane: laneOf(task) }, info(now, "the daemon stopped in the meantime; queued again"));

/** The request with the invalid answer, and what is wrong with it. */
const repairing = (request: JsonObject, text: string, problem: string): JsonObject => ({
  ...request,
  messages: [
    ...(request["messages"] as readonly object[]),
    { role: "assistant", content: text },
    {
      role: "user",
      content: `This answer is invalid: ${problem}. Answer again, with only the corrected JSON.`,
    },
  ],
});
