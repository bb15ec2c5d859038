import { randomBytes } from "node:crypto";
import type { Clock } from "../../../../core/clock.ts";
import { AssistantError, isAssistantError } from "../../../../core/errors.ts";
import type { Collection, Store, StoredRecord } from "../../../../core/store.ts";
import { CallerGone } from "../../../../core/upstream.ts";
import type { InferenceCore } from "../../../../inference/core.ts";
import type { Log } from "../../../../inference/ports.ts";
import { type ModelDirectory, resolveModel } from "../../../../inference/resolve.ts";
import type { Job, JobRun } from "../../../../tasks/jobs.ts";
import type { TaskResult } from "../../../../tasks/record.ts";
import type { Tasks } from "../../../../tasks/tasks.ts";
import type { Authorizer } from "../../../front/authorize.ts";
import type { InferenceRoute } from "../../../front/door.ts";
import type { Files } from "../files/stored.ts";
import { expiredLine } from "./ask.ts";
import { checkInput, firstModel, isWrong, requestOf } from "./input.ts";
import { linesOf } from "./lines.ts";
import { type BatchCounts, batchCollection, hasEnded, type StoredBatch } from "./record.ts";
import { Results } from "./results.ts";
import { Lines, type Stop, stoppedByShutdown } from "./run.ts";

export const BATCH_JOB = "batch";

/** Of one model; each holds some of its lines in memory. */
const MAX_AT_ONCE = 16;
const DAY_MS = 86_400_000;
/** Later than this a batch without a task never gets one. */
const TASK_FOLLOWS_MS = 60_000;
/** After a batch's end. */
const KEPT_MS = 30 * DAY_MS;

export interface BatchesOptions {
  readonly store: Pick<Store, "collection" | "commit" | "watch">;
  readonly files: Files;
  readonly tasks: Pick<Tasks, "enqueue" | "find" | "concurrency" | "settings">;
  readonly inference: InferenceCore;
  readonly directory: ModelDirectory;
  readonly authorizer: Pick<Authorizer, "tenantIdentity" | "admit">;
  /** What a batch may be for. */
  readonly routes: readonly InferenceRoute[];
  /** Largest line: what a request's body may have. */
  readonly maxLineBytes: () => number;
  readonly clock: Clock;
  readonly log: Log;
}

export type NewBatch = Pick<
  StoredBatch,
  "endpoint" | "inputFileId" | "completionWindow" | "metadata" | "outputExpiresAfterS"
> & {
  readonly windowMs: number;
};

/** A batch that is being answered. */
interface Running {
  readonly tenant: string;
  /** "" until its record has been read. */
  model: string;
  lines: Lines | null;
  stop: Stop | null;
  readonly ended: Promise<void>;
}

type Batch = StoredRecord<StoredBatch>;

/**
 * Files of requests that are answered later, by tasks: one for the daemon, whatever doors it has. An answer is on disk
 * before it counts, so that no line is answered twice in the output, whatever happens to the daemon. A tenant sees its
 * own.
 */
export class Batches implements Job {
  readonly atOnce = MAX_AT_ONCE;
  readonly #options: BatchesOptions;
  readonly #records: Collection<StoredBatch>;
  readonly #results: Results;
  readonly #running = new Map<string, Running>();

  constructor(options: BatchesOptions) {
    this.#options = options;
    this.#records = options.store.collection(batchCollection);
    this.#results = new Results(options.store);
  }

  get endpoints(): readonly string[] {
    return this.#options.routes.map(({ path }) => path);
  }

  /**
   * Accepts a batch: it is durable when this resolves. Rejects with `file_not_found`, `invalid_request` or
   * `queue_full`, and then stores nothing.
   */
  async create(tenant: string, { windowMs, ...order }: NewBatch): Promise<Batch> {
    const { files, tasks, clock, directory, maxLineBytes, store } = this.#options;
    const { value: file } = await files.get(tenant, order.inputFileId);
    if (file.purpose !== "batch")
      throw new AssistantError(
        "invalid_request",
        `"input_file_id" must be a file with the purpose "batch"; this one has "${file.purpose}".`,
        { param: "input_file_id", remedy: 'Upload it with `purpose="batch"`.' },
      );
    const { content } = await files.content(tenant, order.inputFileId);
    const model = await firstModel(content.stream, order.endpoint, maxLineBytes());
    const id = `batch_${randomBytes(16).toString("hex")}`;
    const now = clock.now();
    const batch: StoredBatch = {
      ...order,
      ...{ model, status: "validating", since: { validating: now }, deadlineAt: now + windowMs },
      ...{ errors: null, counts: { total: 0, completed: 0, failed: 0 }, outputFileId: null, errorFileId: null },
    };
    await store.commit([this.#records.put(id, batch, { tenant, expiresAt: batch.deadlineAt + KEPT_MS, expect: 0 })]);
    const request = { input_file_id: order.inputFileId, endpoint: order.endpoint };
    try {
      const job = { id, kind: BATCH_JOB, model: directory.find(model)?.name ?? model, request, priority: 0 };
      await tasks.enqueue(job, { tenant });
    } catch (error) {
      await store.commit([this.#records.remove(id)]).catch(() => {});
      throw error;
    }
    return await this.get(tenant, id);
  }

  /** Rejects with `batch_not_found`. */
  async get(tenant: string, id: string): Promise<Batch> {
    const record = /^batch_[0-9a-f]{32}$/.test(id) ? await this.#records.get(id) : null;
    if (record?.tenant !== tenant)
      throw new AssistantError("batch_not_found", `There is no batch with the id "${id.slice(0, 100)}".`, {
        param: "batch_id",
        remedy: "`GET /v1/batches` lists yours.",
      });
    return await this.#asItStands(record);
  }

  /** Newest first. */
  async list(
    tenant: string,
    { limit, after }: { readonly limit: number; readonly after: string | null },
  ): Promise<{ readonly batches: readonly Batch[]; readonly hasMore: boolean }> {
    const from = after === null ? {} : { after: await this.get(tenant, after) };
    const { records, next } = await this.#records.list({
      ...{ index: "tenant", equals: [tenant], order: "desc", limit },
      ...from,
    });
    return { batches: await Promise.all(records.map((one) => this.#asItStands(one))), hasMore: next !== null };
  }

  /** Begins to end it; what was answered is kept. Rejects with `batch_not_found` and `task_finished`. */
  async cancel(tenant: string, id: string): Promise<Batch> {
    const { value } = await this.get(tenant, id);
    if (hasEnded(value))
      throw new AssistantError("task_finished", `The batch "${id}" cannot be cancelled: it is ${value.status}.`);
    await this.#become(id, "cancelling");
    this.#stop(id, "cancelled");
    return await this.get(tenant, id);
  }

  /** Ends all that run for a tenant, and resolves when nothing of them will be stored any more. */
  async endAllOf(tenant: string): Promise<void> {
    const running = [...this.#running].filter(([, one]) => one.tenant === tenant);
    for (const [id] of running) this.#stop(id, "shutdown");
    for (const [, { lines }] of running) lines?.cancelAll();
    await Promise.all(running.map(([, { ended }]) => ended));
  }

  async run({ id, tenant, cancellation, stopping }: JobRun): Promise<TaskResult> {
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    const running: Running = { tenant, model: "", lines: null, stop: null, ended };
    this.#running.set(id, running);
    const onShutdown = (): void => this.#stop(id, "shutdown");
    stopping.addEventListener("abort", onShutdown);
    if (stopping.aborted) onShutdown();
    // Whoever cancels the task means the batch.
    cancellation.onCancel = () => this.#stop(id, "cancelled");
    // Before the record is read: what changes after that is seen.
    using _elsewhere = this.#options.store.watch(batchCollection.name, (ids) => {
      if (ids === null || ids.includes(id)) void this.#changedElsewhere(id);
    });
    try {
      const record = await this.#records.get(id);
      if (record === null || hasEnded(record.value)) return resultOf(record?.value ?? null);
      running.model = record.value.model;
      if (record.value.status === "cancelling") this.#stop(id, "cancelled");
      const left = record.value.deadlineAt - this.#options.clock.now();
      using _timer = this.#options.clock.after(Math.max(0, left), () => this.#stop(id, "expired"));
      return resultOf(await this.#work(record, running));
    } finally {
      stopping.removeEventListener("abort", onShutdown);
      cancellation.onCancel = null;
      this.#running.delete(id);
      resolve();
    }
  }

  /** Another daemon may have been asked to cancel it. */
  async #changedElsewhere(id: string): Promise<void> {
    try {
      const record = await this.#records.get(id);
      if (record === null || record.value.status === "cancelling") this.#stop(id, "cancelled");
    } catch (error) {
      this.#options.log.debug({ err: error, batch: id }, "a batch could not be read");
    }
  }

  async #work(record: Batch, running: Running): Promise<StoredBatch> {
    const { id } = record;
    const checked = running.stop === null ? await this.#checked(record) : record.value;
    if (checked.status === "failed") return checked;
    const lines = await this.#lines(record, checked);
    running.lines = lines;
    if (running.stop !== null) lines.end(running.stop);
    await lines.run(await this.#input(record));
    if (lines.stop === "shutdown") throw stoppedByShutdown();
    if (lines.stop === null) await this.#become(id, "finalizing");
    return await this.#finalise(id, lines.counts, lines.stop);
  }

  /** Reads the whole input before the first of its requests is asked. */
  async #checked(record: Batch): Promise<StoredBatch> {
    const { id, tenant, value } = record;
    if (value.status !== "validating") return value;
    const { authorizer, directory, maxLineBytes, clock } = this.#options;
    const route = this.#routeOf(value);
    const { caller } = authorizer.tenantIdentity(tenant);
    const { total, errors } = await checkInput(await this.#input(record), value.endpoint, maxLineBytes(), (model) => {
      try {
        resolveModel(directory, { selector: { model, among: null }, operation: route.operation, caller });
        return null;
      } catch (error) {
        if (!isAssistantError(error)) throw error;
        return { code: error.code, message: error.message };
      }
    });
    const isUsable = errors.length === 0;
    const status = isUsable ? "in_progress" : "failed";
    const change = { status, errors: isUsable ? null : errors, counts: { ...value.counts, total } } as const;
    const changed = await this.#records.update(id, (batch) =>
      batch.status === "validating" ? { ...batch, ...change, since: { ...batch.since, [status]: clock.now() } } : null,
    );
    return changed?.value ?? value;
  }

  async #lines({ id, tenant, value }: Batch, checked: StoredBatch): Promise<Lines> {
    const { inference, authorizer, tasks, maxLineBytes, clock, directory } = this.#options;
    const model = directory.find(value.model)?.name ?? value.model;
    const expiresAt = value.deadlineAt + KEPT_MS;
    const known = await this.#results.counts(id);
    return new Lines(
      {
        ...{ inference, clock, endpoint: value.endpoint, deadlineAt: value.deadlineAt },
        maxLineBytes: maxLineBytes(),
        route: this.#routeOf(value),
        done: known.completed + known.failed === 0 ? new Set() : await this.#results.lines(id),
        places: () => {
          const batches = [...this.#running.values()].filter((one) => one.model === value.model).length;
          return Math.max(1, Math.floor(tasks.concurrency(model) / Math.max(1, batches)));
        },
        admit: () => {
          const identity = authorizer.tenantIdentity(tenant);
          return { identity, ended: authorizer.admit(identity) };
        },
        maxAttempts: tasks.settings.maxAttempts,
        keep: (line, answered) => this.#results.add(id, line, answered, { tenant, expiresAt }),
      },
      { ...known, total: checked.counts.total },
    );
  }

  /** Writes the files of the batch, and ends it in the same commit. */
  async #finalise(id: string, counts: BatchCounts, stop: Stop | null): Promise<StoredBatch> {
    const { files, clock, store } = this.#options;
    const record = await this.#records.get(id);
    if (record === null) throw new CallerGone();
    const isExpired = stop === "expired";
    const unanswered = isExpired ? counts.total - counts.completed - counts.failed : 0;
    const { tenant, value: batch } = record;
    const write = (name: string, content: AsyncIterable<Uint8Array>) => {
      const filename = `${id}_${name}.jsonl`;
      const file = { filename, purpose: "batch_output", expiresAfterS: batch.outputExpiresAfterS };
      return files.made(tenant, file, content);
    };
    const output = counts.completed === 0 ? null : await write("output", this.#results.texts(id, false));
    const errors = counts.failed + unanswered === 0 ? null : await write("error", this.#failed(record, isExpired));
    const status = stop === "cancelled" ? "cancelled" : isExpired ? "expired" : "completed";
    for (;;) {
      const now = await this.#records.get(id);
      if (now === null) throw new CallerGone();
      if (hasEnded(now.value)) return now.value;
      const ended: StoredBatch = {
        ...now.value,
        ...{ status, since: { ...now.value.since, [status]: clock.now() } },
        counts: { ...counts, failed: counts.failed + unanswered },
        outputFileId: output?.id ?? null,
        errorFileId: errors?.id ?? null,
      };
      const { revision: expect } = now;
      const commit = await store.commit([
        ...[output, errors].flatMap((file) => (file === null ? [] : [file.write])),
        this.#records.put(id, ended, { tenant, expiresAt: clock.now() + KEPT_MS, expect, beyondLimits: true }),
      ]);
      if (!commit.ok) continue;
      await this.#results.remove(id);
      return ended;
    }
  }

  async *#failed(record: Batch, isExpired: boolean): AsyncGenerator<Uint8Array> {
    yield* this.#results.texts(record.id, true);
    if (!isExpired) return;
    const { endpoint } = record.value;
    const done = await this.#results.lines(record.id);
    const maxLineBytes = this.#options.maxLineBytes();
    for await (const line of linesOf(await this.#input(record), maxLineBytes)) {
      const request = done.has(line.number) ? null : requestOf(line, endpoint, maxLineBytes);
      if (request !== null && !isWrong(request)) yield Buffer.from(expiredLine(request));
    }
  }

  /** A batch whose task ended without it, as when it was cancelled while it waited, is ended too. */
  async #asItStands(record: Batch): Promise<Batch> {
    const { id, value } = record;
    if (hasEnded(value)) return record;
    const counts = this.#running.get(id)?.lines?.counts;
    if (counts !== undefined) return { ...record, value: { ...value, counts } };
    const task = await this.#options.tasks.find(id);
    if (this.#running.has(id) || task?.status === "pending") return record;
    // It runs on another daemon.
    if (task?.status === "processing") {
      const answered = await this.#results.counts(id);
      return { ...record, value: { ...value, counts: { ...answered, total: value.counts.total } } };
    }
    // Its task is stored after it.
    if (task === null && this.#options.clock.now() - record.createdAt < TASK_FOLLOWS_MS) return record;
    const message = task?.error?.message ?? "The batch's task no longer exists.";
    const errors = [{ code: task?.error?.code ?? "internal", message, param: null, line: null }];
    const status = task?.status === "cancelled" ? "cancelled" : "failed";
    const since = { ...value.since, [status]: this.#options.clock.now() };
    const ended = await this.#records.update(id, (batch) =>
      hasEnded(batch) ? null : { ...batch, status, since, errors: status === "failed" ? errors : null },
    );
    return ended ?? record;
  }

  async #become(id: string, status: "finalizing" | "cancelling"): Promise<void> {
    await this.#records.update(id, (batch) =>
      hasEnded(batch) || batch.status === "cancelling"
        ? null
        : { ...batch, status, since: { ...batch.since, [status]: this.#options.clock.now() } },
    );
  }

  #stop(id: string, stop: Stop): void {
    const running = this.#running.get(id);
    if (running === undefined) return;
    running.stop ??= stop;
    running.lines?.end(stop);
  }

  async #input({ tenant, value }: Batch): Promise<AsyncIterable<Uint8Array>> {
    return (await this.#options.files.content(tenant, value.inputFileId)).content.stream;
  }

  #routeOf({ endpoint }: StoredBatch): InferenceRoute {
    const route = this.#options.routes.find(({ path }) => path === endpoint);
    if (route === undefined) throw new AssistantError("internal", `Batches do not support ${endpoint}.`);
    return route;
  }
}

const resultOf = (batch: StoredBatch | null): TaskResult => ({
  text: batch === null ? "" : `${batch.status}: ${batch.counts.completed} of ${batch.counts.total} requests answered`,
  finishReason: "stop",
  usage: { promptTokens: null, completionTokens: null },
  model: batch?.model ?? "",
  reasoning: null,
});
