import { rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { AssistantError, isAssistantError, toAssistantError } from "../core/errors.ts";
import { readGguf, refusePart } from "./gguf-header.ts";
import { diskFull, freeBytes, needRoom } from "./pull/disk.ts";
import { type Job, planPull } from "./pull/job.ts";
import { lockPull } from "./pull/lock.ts";
import { makeFolder } from "./pull/modes.ts";
import { PartialFile } from "./pull/partial.ts";
import { alreadyStored } from "./pull/present.ts";
import { progressGate } from "./pull/progress.ts";
import {
  type Delivery,
  defaultTiming,
  type Expected,
  type PulledModel,
  type PullOptions,
  type PullPhase,
  type Source,
} from "./pull/types.ts";
import { type ModelStore, partialFiles, weightsFile, writeManifest } from "./store.ts";

export type {
  NodeModel,
  NodeStore,
  PulledModel,
  PullOptions,
  PullPhase,
  PullProgress,
  PullTiming,
} from "./pull/types.ts";

/**
 * Brings a model into the store and returns when it is there, complete and checked. Sources are tried in order; of
 * several processes that pull the same name one works and the others wait for it. The final name appears only after
 * size and digest (where known) are right.
 *
 * Throws AssistantError: `unknown_source`, `usage`, `pull_failed` (every source with its reason), `digest_mismatch`,
 * `model_invalid`, `disk_full`, `not_writable`, `file_exists`; with `from` also what the other machine says and
 * `node_unavailable`; and the signal's reason once aborted.
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
  return (
    (await alreadyStored(job, store, signal)) ??
    (await deliver(job, options, report, AbortSignal.any([signal, lock.lost])))
  );
}

type Report = (phase: PullPhase, source: string, bytes: number, totalBytes: number | null) => void;

async function deliver(job: Job, options: PullOptions, report: Report, signal: AbortSignal): Promise<PulledModel> {
  const { weightsDir } = options.store;
  const partial = new PartialFile(...partialFiles(weightsDir, job.name));
  const free = options.free ?? freeBytes;
  const failures: { source: Source; error: unknown }[] = [];
  for (const source of job.sources) {
    const delivery: Delivery = {
      into: partial,
      expected: job.expected,
      timing: { ...defaultTiming, ...options.timing },
      signal,
      env: options.env,
      report: (phase, bytes, totalBytes) => report(phase, source.label, bytes, totalBytes),
      needRoom: (bytes) => needRoom(weightsDir, bytes, free),
    };
    try {
      await fill(source, delivery);
      return await keep(job, source, partial, options.store);
    } catch (error) {
      await (partial.bytes === 0 ? partial.discard() : partial.close());
      signal.throwIfAborted();
      if (isOwnFault(error)) throw await explained(error, weightsDir, free);
      failures.push({ source, error });
    }
  }
  throw job.refusal(failures);
}

/** Delivers and verifies. A continued download that turns out wrong is tried once more from the start. */
async function fill(source: Source, delivery: Delivery): Promise<void> {
  const { into, expected } = delivery;
  for (let fresh = false; ; fresh = true) {
    const told = await source.deliver(delivery);
    const wanted: Expected = { bytes: expected.bytes ?? told.bytes, sha256: expected.sha256 ?? told.sha256 };
    delivery.report("verify", into.bytes, into.bytes);
    const wrong = difference(wanted, into);
    if (wrong === null) {
      return await checkWeights(into.path, source.label).catch((error) =>
        into.discard().then(() => Promise.reject(error)),
      );
    }
    const { continued } = into;
    await into.discard();
    if (!continued || fresh)
      throw new AssistantError("digest_mismatch", wrong, {
        remedy: "The file was deleted. Try again; if it stays so, the source is damaged or was changed.",
      });
  }
}

/** A pull brings whole models in one file. */
async function checkWeights(file: string, shownAs: string): Promise<void> {
  refusePart(await readGguf(file, shownAs), shownAs);
}

function difference(wanted: Expected, found: PartialFile): string | null {
  if (wanted.bytes !== null && found.bytes !== wanted.bytes)
    return `expected ${wanted.bytes} bytes, found ${found.bytes}`;
  const sha256 = found.sha256();
  return wanted.sha256 !== null && sha256 !== wanted.sha256
    ? `expected SHA-256 ${wanted.sha256}, found ${sha256}`
    : null;
}

async function keep(job: Job, source: Source, partial: PartialFile, store: ModelStore): Promise<PulledModel> {
  const { name, reference, licence } = job;
  const facts = { name, reference, source: source.label, bytes: partial.bytes, sha256: partial.sha256(), licence };
  const file = weightsFile(store.weightsDir, name);
  await partial.finish();
  // The manifest first: the weights' name is what makes the model exist, and nothing may be missing then.
  await writeManifest(store, { ...facts, pulledAt: new Date().toISOString() });
  await rename(partial.path, file);
  // Renaming one hard link onto another of the same file does nothing.
  await rm(partial.path, { force: true });
  return { ...facts, file, alreadyPresent: false };
}

/** Faults that no other source would mend. */
const isOwnFault = (error: unknown): boolean => ["disk_full", "not_writable"].includes(toAssistantError(error).code);

async function explained(
  error: unknown,
  directory: string,
  free: (path: string) => Promise<number>,
): Promise<AssistantError> {
  if (isAssistantError(error) || toAssistantError(error).code !== "disk_full") return toAssistantError(error);
  return diskFull(directory, 0, await free(directory).catch(() => 0), error);
}
