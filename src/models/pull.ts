import { join } from "node:path";
import { toAssistantError } from "../core/errors.ts";
import { sweepStale } from "./leftovers.ts";
import { deliver } from "./pull/deliver.ts";
import { planPull } from "./pull/job.ts";
import { lockPull } from "./pull/lock.ts";
import { makeFolder } from "./pull/modes.ts";
import { alreadyStored } from "./pull/present.ts";
import { progressGate } from "./pull/progress.ts";
import type { PulledModel, PullOptions } from "./pull/types.ts";
import { weightsFile } from "./store.ts";

export type {
  NodeModel,
  NodeStore,
  PulledModel,
  PullOptions,
  PullPhase,
  PullProgress,
} from "./pull/types.ts";

/**
 * Brings a model into the store and returns when it is there, complete and checked. Sources are tried in order; of
 * several processes that pull the same name one works and the others wait for it. The final name appears only after
 * size and digest (where known) of all files are right.
 *
 * Throws AssistantError: `unknown_source`, `usage`, `access_denied`, `pull_failed` (every source with its reason),
 * `digest_mismatch`, `model_invalid`, `disk_full`, `not_writable`, `file_exists`; with `from` also what the other
 * machine says and `node_unavailable`; and the signal's reason once aborted.
 */
export async function pull(reference: string, options: PullOptions): Promise<PulledModel> {
  const signal = options.signal ?? new AbortController().signal;
  signal.throwIfAborted();
  const job = await planPull(reference, options, signal);
  const { store } = options;
  const { weightsDir } = store;
  await makeFolder(weightsDir).catch((error: unknown) => {
    throw toAssistantError(error);
  });
  const report = progressGate(options.onProgress ?? (() => {}));
  const present = await alreadyStored(job, store, signal);
  if (present !== null) return present;
  await using lock = await lockPull(
    weightsFile(weightsDir, job.name),
    join(weightsDir, `.${job.name}.lock`),
    signal,
    () => report("wait", "another pull of the same model", 0, null),
  ).catch((error: unknown) => {
    signal.throwIfAborted();
    throw toAssistantError(error);
  });
  // The one that was waited for may have done all the work.
  const pulled =
    (await alreadyStored(job, store, signal)) ??
    (await deliver(job, options, report, AbortSignal.any([signal, lock.lost])));
  // What cannot be swept now is swept after another pull.
  await sweepStale(store, Date.now()).catch(() => {});
  return pulled;
}
