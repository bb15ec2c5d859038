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
import { laneOf, moved, type TaskLogEntry, type TaskRecord, type TaskResult } from "./record.ts";
import type { SchemaChecker } from "./schema/checker.ts";
import { beginTaskSpan, endTaskSpan } from "./task-span.ts";

/** Over all models: each holds its prompt and its answer in memory. */
const MAX_RUNNING = 256;
/** After the store failed. */
const STORE_RETRY_MS = 1_000;
/** Timers cannot wait for longer than 24 days. */
const MAX_WAIT_MS = 3_600_000;
const PAGE = 100;

export interface RunnerOptions extends Pick<Execution, "inference" | "decode" | "callerOf" | "requests"> {
  readonly ledger: TaskLedger;
  readonly outputs: Outputs;
  readonly schemas: Pick<SchemaChecker, "check">;
  readonly conversations: TaskConversations;
  /** Tasks of one queue at once. */
  readonly concurrency: (lane: string) => number;
  /** Undefined: there is none of the kind. */
  readonly job: (kind: string) => Job | undefined;
  readonly clock: Clock;
  readonly random: () => number;
  readonly tracer: Tracer | null;
  readonly log: Log;
}

/** An attempt of a task. */
interface Running {
  readonly cancellation: Cancellation;
  readonly span: Span | null;
}

/** The tasks of one queue, which start by priority, then in the order in which they were made. */
interface Lane {
  running: number;
  /** One reads the queue at a time. */
  isPumping: boolean;
  /** There may be a task that was not seen. */
  isStale: boolean;
}

/**
 * Starts the tasks that wait. The queue is the store: nothing of it is kept here, so that a crash loses nothing and a long
 * queue costs no memory.
 */
export class Runner {
  readonly #options: RunnerOptions;
  readonly #lanes = new Map<string, Lane>();
  readonly #running = new Map<string, Cancellation>();
  readonly #idle: (() => void)[] = [];
  /** A model's tasks wait for a place among those of all models. */
  #isFull = false;
  #dueTimer: Disposable | null = null;
  #dueAt = Number.POSITIVE_INFINITY;
  #state: "new" | "running" | "stopping" = "new";
  readonly #stopping = new AbortController();

  constructor(options: RunnerOptions) {
    this.#options = options;
  }

  /** Takes up what an earlier daemon left, and begins. May be called again where the store failed. */
  async start(): Promise<void> {
    if (this.#state === "new") {
      await this.#takeUp();
      // Not before: what runs from here on is this daemon's own. It may have been stopped meanwhile.
      if (this.#state === "new") this.#state = "running";
    }
    for (const lane of await this.#waitingLanes()) this.wake(lane);
    await this.#releaseDue();
  }

  /** Starts nothing more. What runs may end; what fails from now on is taken up at the next start. */
  stop(): void {
    this.#state = "stopping";
    this.#stopping.abort();
    this.#dueTimer?.[Symbol.dispose]();
  }

  /** Resolves when nothing runs any longer. */
  settled(): Promise<void> {
    if (this.#running.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  /** Ids of the tasks that run, the oldest first. */
  get running(): string[] {
    return [...this.#running.keys()];
  }

  /** A task of the queue may start. */
  wake(name: string): void {
    const lane = this.#lanes.get(name) ?? { running: 0, isPumping: false, isStale: false };
    this.#lanes.set(name, lane);
    lane.isStale = true;
    if (!lane.isPumping) void this.#pump(name, lane);
  }

  /** A task starts no sooner than this. */
  wakeAt(dueAt: number): void {
    if (this.#state !== "running" || dueAt >= this.#dueAt) return;
    const { clock, log } = this.#options;
    this.#dueAt = dueAt;
    this.#dueTimer?.[Symbol.dispose]();
    const waitMs = Math.max(0, Math.min(MAX_WAIT_MS, dueAt - clock.now()));
    this.#dueTimer = clock.after(waitMs, () => {
      this.#dueAt = Number.POSITIVE_INFINITY;
      this.#releaseDue().catch((error: unknown) => {
        log.warn({ err: error }, "scheduled tasks could not be read");
        this.wakeAt(clock.now() + STORE_RETRY_MS);
      });
    });
  }

  /** Ends what runs of a task, whose record says so already. */
  cancel(taskId: string): void {
    this.#running.get(taskId)?.cancel(new CallerGone());
  }

  async #pump(name: string, lane: Lane): Promise<void> {
    const { ledger, concurrency, log, clock } = this.#options;
    lane.isPumping = true;
    try {
      while (lane.isStale && this.#state === "running") {
        const free = Math.min(concurrency(name) - lane.running, MAX_RUNNING - this.#running.size);
        if (free <= 0) {
          this.#isFull ||= this.#running.size >= MAX_RUNNING;
          break;
        }
        lane.isStale = false;
        const { records, next } = await ledger.list({ index: "lane", equals: [name], limit: free });
        const started = await Promise.all(records.map((record) => this.#claim(record, lane)));
        if (next !== null || started.includes(false)) lane.isStale = true;
      }
    } catch (error) {
      log.warn({ err: error, queue: name }, "waiting tasks could not be read");
      clock.after(STORE_RETRY_MS, () => this.wake(name));
    } finally {
      lane.isPumping = false;
      if (lane.running === 0 && !lane.isStale) this.#lanes.delete(name);
    }
  }

  /** False: the task was changed meanwhile. */
  async #claim(record: StoredTask, lane: Lane): Promise<boolean> {
    const { ledger, clock } = this.#options;
    const now = clock.now();
    const task = record.value;
    const entry = info(now, `attempt ${task.attempts + 1} of ${task.maxAttempts} begins`);
    const claimed = await ledger.replace(record, moved(task, "processing", { startedAt: now }, entry));
    if (claimed === null) return false;
    lane.running++;
    void this.#run(claimed).finally(() => {
      lane.running--;
      this.#ended(laneOf(task));
    });
    return true;
  }

  #ended(lane: string): void {
    if (this.#running.size === 0) for (const resolve of this.#idle.splice(0)) resolve();
    const woken = this.#isFull ? [...this.#lanes.keys()] : [lane];
    this.#isFull = false;
    for (const name of woken) this.wake(name);
  }

  /** From its claim to its next status. Never rejects. */
  async #run(record: StoredTask): Promise<void> {
    const cancellation = new Cancellation();
    this.#running.set(record.id, cancellation);
    try {
      const after = await this.#outcome(record, cancellation);
      if (after !== null) await this.#store(record, after);
    } finally {
      this.#running.delete(record.id);
      this.#options.outputs.end(record.id);
    }
  }

  /** What the task becomes; null: it stays as it is, cancelled or to be taken up at the next start. */
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
        isStopping: this.#state === "stopping",
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

  /** What comes of the task, whoever does it. */
  async #result(record: StoredTask, running: Running, logs: TaskLogEntry[]): Promise<TaskResult> {
    const { id, tenant, value } = record;
    if (value.job === undefined) return await this.#answer(record, running, logs);
    const job = this.#options.job(value.job.kind);
    if (job === undefined) throw new AssistantError("internal", `There is no job "${value.job.kind}".`);
    return await job.run({
      id,
      tenant,
      request: value.request,
      cancellation: running.cancellation,
      stopping: this.#stopping.signal,
    });
  }

  /** The answer of the task's model, or of the first fallback that has one. */
  async #answer(record: StoredTask, running: Running, logs: TaskLogEntry[]): Promise<TextAnswer> {
    const note = (message: string): void => {
      logs.push({ at: this.#options.clock.now(), level: "warning", message });
    };
    const { model, fallbacks } = record.value;
    let name = model;
    for (const next of [...fallbacks, null]) {
      try {
        return await this.#answerOf(record, name, running, note);
      } catch (thrown) {
        if (next === null || thrown instanceof CallerGone) throw thrown;
        const error = presentable(thrown);
        if (!mayFallBack(error)) throw thrown;
        note(`${name} cannot answer, ${next} is asked: ${error.code}: ${error.message}`);
        name = next;
      }
    }
    throw new AssistantError("internal", "A task has no model.");
  }

  /** The answer of one model, which matches the schema where there is one. */
  async #answerOf(
    record: StoredTask,
    model: string,
    running: Running,
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
              cancellation: running.cancellation,
              route: ROUTE,
              priority: Math.round(priority),
              deadlineAt: null,
            },
            caller: callerOf(record.tenant),
          });
    const once = async (json: JsonObject): Promise<{ answer: TextAnswer; problem: string | null }> => {
      const { append } = outputs.begin(record.id);
      const answer = await ask(record, model, json, {
        ...{ inference, decode, callerOf, ...running, requests },
        onText: append,
      });
      return { answer, problem: schema === null ? null : await schemas.check(schema, answer.text) };
    };
    let { answer, problem } = await once(request);
    if (problem !== null && repair) {
      note(`the model is asked to repair its answer: ${problem}`);
      ({ answer, problem } = await once(repairing(request, answer.text, problem)));
    }
    if (problem === null) return answer;
    const cut = answer.finishReason === "length" ? " It was cut off at `max_tokens`." : "";
    throw new AssistantError("output_invalid", `The answer is not what the JSON Schema asks for: ${problem}.${cut}`);
  }

  /** Tries until the store takes it: an answer that cost minutes is not given up for a full disk. */
  async #store(record: StoredTask, after: TaskRecord): Promise<void> {
    const { ledger, clock, log, conversations } = this.#options;
    const { conversation, request, result } = after;
    // In the commit that ends the task: whatever is restarted when, the conversation has the turn once.
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
        if (this.#state === "stopping") return;
        await new Promise<void>((resolve) => clock.after(STORE_RETRY_MS, resolve));
      }
    }
  }

  /** What was running when an earlier daemon ended waits again. */
  async #takeUp(): Promise<void> {
    const { ledger, clock } = this.#options;
    for (;;) {
      const { records } = await ledger.list({ index: "status", equals: ["processing"], limit: PAGE });
      if (records.length === 0) return;
      const entry = info(clock.now(), "the daemon ended meanwhile; queued again");
      await Promise.all(
        records.map((record) =>
          ledger.replace(record, moved(record.value, "pending", { lane: laneOf(record.value) }, entry)),
        ),
      );
    }
  }

  /** Skips from one queue to the next, whatever the number of their tasks. */
  async #waitingLanes(): Promise<string[]> {
    const lanes: string[] = [];
    for (;;) {
      const last = lanes.at(-1);
      const from = last === undefined ? {} : { from: `${last}\u0000` };
      const { records } = await this.#options.ledger.list({ index: "lane", limit: 1, ...from });
      const lane = records[0]?.value.lane;
      if (lane === undefined || lane === null) return lanes;
      lanes.push(lane);
    }
  }

  /** Lets those start whose time has come, and waits for the next. */
  async #releaseDue(): Promise<void> {
    const { ledger, clock } = this.#options;
    for (;;) {
      const { records } = await ledger.list({ index: "due", limit: PAGE });
      const now = clock.now();
      const due = records.filter(({ value }) => (value.dueAt ?? 0) <= now);
      await Promise.all(
        due.map((record) => ledger.replace(record, { ...record.value, lane: laneOf(record.value), dueAt: null })),
      );
      const later = records.find(({ value }) => (value.dueAt ?? 0) > now);
      if (later !== undefined) {
        this.wakeAt(later.value.dueAt ?? now);
        return;
      }
      if (records.length === 0) return;
    }
  }
}

/** The request with the answer that was wrong, and what is wrong with it. */
const repairing = (request: JsonObject, text: string, problem: string): JsonObject => ({
  ...request,
  messages: [
    ...(request["messages"] as readonly object[]),
    { role: "assistant", content: text },
    {
      role: "user",
      content: `This is not what was asked for: ${problem}. Answer again, with the corrected JSON alone.`,
    },
  ],
});

const info = (at: number, message: string): TaskLogEntry => ({ at, level: "info", message });
