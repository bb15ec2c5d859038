import type { CollectionSpec } from "../../../../core/store.ts";

/**
 * ```
 * validating -> in_progress -> finalizing -> completed
 *     |   |          |  |-----> expired      (its window is over: what was answered is there)
 *     |   +---------------> cancelling -> cancelled
 *     +--> failed                            (its file is not one)
 * ```
 */
type BatchStatus =
  | "validating"
  | "in_progress"
  | "finalizing"
  | "completed"
  | "failed"
  | "expired"
  | "cancelling"
  | "cancelled";

const ENDED: ReadonlySet<BatchStatus> = new Set(["completed", "failed", "expired", "cancelled"]);
export const hasEnded = ({ status }: Pick<StoredBatch, "status">): boolean => ENDED.has(status);

/** The problem with the input. */
export interface BatchError {
  readonly code: string;
  readonly message: string;
  readonly param: string | null;
  /** 1-based line of the input file; null: the file as a whole. */
  readonly line: number | null;
}

/** A batch as stored. Its task has the same id. */
export interface StoredBatch {
  readonly endpoint: string;
  readonly inputFileId: string;
  readonly completionWindow: string;
  readonly metadata: Readonly<Record<string, string>> | null;
  /** Retention of its files in seconds; null: until they are deleted. */
  readonly outputExpiresAfterS: number | null;
  /** As named by its first request. */
  readonly model: string;
  readonly status: BatchStatus;
  /** Epoch milliseconds at which each status began. */
  readonly since: Readonly<Partial<Record<BatchStatus, number>>>;
  /** Epoch milliseconds at which it ends, complete or not. */
  readonly deadlineAt: number;
  readonly errors: readonly BatchError[] | null;
  readonly counts: BatchCounts;
  readonly outputFileId: string | null;
  readonly errorFileId: string | null;
}

export interface BatchCounts {
  readonly total: number;
  readonly completed: number;
  readonly failed: number;
}

export const batchCollection: CollectionSpec<StoredBatch> = {
  name: "batches",
  indexes: { tenant: ["@tenant"] },
  held: true,
};

/** The answer to a line, until all of them are in the batch's files. The record's id consists of both. */
export interface LineResult {
  readonly batch: string;
  readonly line: number;
  /** It belongs in the error file. */
  readonly isFailed: boolean;
  /** The line of the output file. */
  readonly json: string;
}

export const resultCollection: CollectionSpec<LineResult> = {
  name: "batch_results",
  indexes: { batch: ["batch", "isFailed", "line"] },
  held: true,
};

const seconds = (epochMs: number | undefined): number | null =>
  epochMs === undefined ? null : Math.floor(epochMs / 1000);

/** A batch in the format of OpenAI's API. */
export const shownBatch = (id: string, batch: StoredBatch, createdAt: number): object => ({
  id,
  object: "batch",
  endpoint: batch.endpoint,
  model: batch.model,
  errors: batch.errors === null ? null : { object: "list", data: batch.errors },
  input_file_id: batch.inputFileId,
  completion_window: batch.completionWindow,
  status: batch.status,
  output_file_id: batch.outputFileId,
  error_file_id: batch.errorFileId,
  created_at: seconds(createdAt),
  in_progress_at: seconds(batch.since.in_progress),
  expires_at: seconds(batch.deadlineAt),
  finalizing_at: seconds(batch.since.finalizing),
  completed_at: seconds(batch.since.completed),
  failed_at: seconds(batch.since.failed),
  expired_at: seconds(batch.since.expired),
  cancelling_at: seconds(batch.since.cancelling),
  cancelled_at: seconds(batch.since.cancelled),
  request_counts: batch.counts,
  metadata: batch.metadata,
});
