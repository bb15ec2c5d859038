import { readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { AssistantError, isAssistantError, toAssistantError } from "../../core/errors.ts";
import { digestOfSet, type ModelFileFacts } from "../file-set.ts";
import { type GgufHeader, readGguf, refusePart } from "../gguf-header.ts";
import {
  getModel,
  type ModelStore,
  modelFolder,
  partialFiles,
  partsFolder,
  weightsFile,
  writeManifest,
} from "../store.ts";
import { checkVoice, isVoiceFile } from "../voice.ts";
import { diskFull, freeBytes, needRoom } from "./disk.ts";
import { fill } from "./filled.ts";
import type { Job } from "./job.ts";
import { makeFolder } from "./modes.ts";
import { PartialFile } from "./partial.ts";
import { storedSources } from "./present.ts";
import { type Failure, refusal } from "./refusal.ts";
import {
  type Delivery,
  defaultPieces,
  defaultTiming,
  type PulledModel,
  type PullOptions,
  type PullPhase,
  type Source,
  type WantedFile,
} from "./types.ts";

type Report = (phase: PullPhase, source: string, bytes: number, totalBytes: number | null) => void;

/** A file that is complete and checked, under its temporary name. */
interface Arrived {
  readonly partial: PartialFile;
  readonly source: string;
  readonly file: ModelFileFacts;
}

/** Downloads the files of a job, verifies them, and gives the model its name. The caller holds the lock of the name. */
export async function deliver(
  job: Job,
  options: PullOptions,
  report: Report,
  signal: AbortSignal,
): Promise<PulledModel> {
  const { store } = options;
  const free = options.free ?? freeBytes;
  const folder = partsFolder(store.weightsDir, job.name);
  if (job.files.length > 1) {
    await makeFolder(folder);
    await needRoomForAll(job, folder, free);
  }
  const arrived: Arrived[] = [];
  for (const [index, file] of job.files.entries()) {
    const partial =
      job.files.length > 1
        ? new PartialFile(join(folder, `${file.name}.partial`), join(folder, `${file.name}.partial.json`))
        : new PartialFile(...partialFiles(store.weightsDir, job.name));
    const all = job.files.length === 1 ? report : reportOfAll(job, arrived, index, report);
    arrived.push(await deliverFile({ job, file, index, partial, options, free, report: all, signal }));
  }
  return job.files.length > 1 ? await keepAll(job, arrived, store) : await keep(job, arrived, store);
}

/** For several files, the total is known at once, if the source reports it. */
async function needRoomForAll({ files }: Job, folder: string, free: (path: string) => Promise<number>): Promise<void> {
  const here = await Promise.all((await readdir(folder)).map(async (name) => (await stat(join(folder, name))).size));
  const wanted = files.reduce((sum, { expected }) => sum + (expected.bytes ?? 0), 0);
  const missing = wanted - here.reduce((sum, size) => sum + size, 0);
  await needRoom(folder, Math.max(0, missing), free);
}

/** Progress over all files; which one it is stands with the source. */
function reportOfAll({ files }: Job, arrived: readonly Arrived[], index: number, report: Report): Report {
  const before = arrived.reduce((sum, { file }) => sum + file.bytes, 0);
  const sizes = files.map(({ expected }, at) => arrived[at]?.file.bytes ?? expected.bytes);
  const total = sizes.includes(null) ? null : sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0);
  return (phase, source, bytes) =>
    report(phase, `${source} (file ${index + 1} of ${files.length})`, before + bytes, total);
}

interface Errand {
  readonly job: Job;
  readonly file: WantedFile;
  readonly index: number;
  readonly partial: PartialFile;
  readonly options: PullOptions;
  readonly free: (path: string) => Promise<number>;
  readonly report: Report;
  readonly signal: AbortSignal;
}

async function deliverFile({ job, file, index, partial, options, free, report, signal }: Errand): Promise<Arrived> {
  const { weightsDir } = options.store;
  const failures: Failure[] = [];
  for (const source of [...(await storedSources(file, job.name, options.store)), ...file.sources]) {
    const delivery: Delivery = {
      into: partial,
      expected: file.expected,
      timing: { ...defaultTiming, ...options.timing },
      pieces: options.pieces ?? defaultPieces,
      signal,
      env: options.env,
      report: (phase, bytes, totalBytes) => report(phase, source.label, bytes, totalBytes),
      needRoom: (bytes) => needRoom(weightsDir, bytes, free),
    };
    try {
      await fill(source, delivery);
      await check(job, index, partial, source).catch((error: unknown) =>
        partial.discard().then(() => Promise.reject(error)),
      );
      const facts = { name: file.name, role: file.role, bytes: partial.bytes, sha256: partial.sha256() };
      await partial.close();
      return { partial, source: source.label, file: facts };
    } catch (error) {
      await (partial.bytes === 0 ? partial.discard() : partial.close());
      signal.throwIfAborted();
      if (isOwnFault(error)) throw await explained(error, weightsDir, free);
      failures.push({ source, error });
    }
  }
  throw refusal(job.files.length === 1 ? job.name : `${file.name} of ${job.name}`, failures);
}

/** Whether the file is a whole one, and the part of the model that it should be. */
async function check({ files }: Job, index: number, { path }: PartialFile, { label }: Source): Promise<void> {
  if (isVoiceFile(files[index]?.name ?? "")) return checkVoice(path, label);
  const header = await readGguf(path, label);
  const parts = files.filter(({ role }) => role === "weights").length;
  if (parts === 1 || files[index]?.role !== "weights") return refusePart(header, label);
  checkNumber(header, index + 1, parts, label);
}

function checkNumber({ part }: GgufHeader, number: number, count: number, label: string): void {
  if (part?.number === number && part.count === count) return;
  const found = part === null ? "a whole model" : `part ${part.number} of ${part.count}`;
  throw new AssistantError(
    "model_invalid",
    `${label}: expected part ${number} of ${count} of the model, found ${found}.`,
    {
      remedy: "The files do not belong together; look for another source of the model.",
    },
  );
}

async function keep(job: Job, arrived: readonly Arrived[], store: ModelStore): Promise<PulledModel> {
  const [one] = arrived;
  if (one === undefined) throw new Error("a pull without files");
  const { partial, source, file } = one;
  const { name, reference, licence } = job;
  const facts = { name, reference, source, bytes: file.bytes, sha256: file.sha256, licence };
  const path = weightsFile(store.weightsDir, name, isVoiceFile(file.name));
  await partial.finish();
  // The manifest first: the weights' name is what makes the model exist, and nothing may be missing then.
  await writeManifest(store, { ...facts, pulledAt: new Date().toISOString() });
  await rename(partial.path, path);
  // Renaming one hard link onto another of the same file does nothing.
  await rm(partial.path, { force: true });
  return { ...facts, file: path, projector: null, alreadyPresent: false };
}

/**
 * The folder gets its name when all files in it are complete: a crash before leaves a resumable download, a crash after
 * a complete model.
 */
async function keepAll(job: Job, arrived: readonly Arrived[], store: ModelStore): Promise<PulledModel> {
  const { name, reference, licence } = job;
  const { weightsDir } = store;
  const folder = partsFolder(weightsDir, name);
  for (const { partial, file } of arrived) {
    await partial.finish();
    await rename(partial.path, join(folder, file.name));
  }
  const files = arrived.map(({ file }) => file);
  for (const found of await readdir(folder))
    if (!files.some((file) => file.name === found)) await rm(join(folder, found), { force: true, recursive: true });
  const facts = {
    name,
    reference,
    source: [...new Set(arrived.map(({ source }) => source))].join(", "),
    bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
    sha256: digestOfSet(files),
    files,
    licence,
  };
  // A damaged model of this name is replaced; processes with open files keep them.
  for (const old of (await getModel(store, name))?.files ?? []) await rm(old, { force: true });
  await rm(modelFolder(weightsDir, name), { force: true, recursive: true });
  await writeManifest(store, { ...facts, pulledAt: new Date().toISOString() });
  await rename(folder, modelFolder(weightsDir, name));
  const inside = (role: string): string | undefined => files.find((file) => file.role === role)?.name;
  const at = (file: string): string => join(modelFolder(weightsDir, name), file);
  const projector = inside("projector");
  return {
    ...facts,
    file: at(inside("weights") ?? ""),
    projector: projector === undefined ? null : at(projector),
    alreadyPresent: false,
  };
}

/** Faults that another source would not fix. */
const isOwnFault = (error: unknown): boolean => ["disk_full", "not_writable"].includes(toAssistantError(error).code);

async function explained(
  error: unknown,
  directory: string,
  free: (path: string) => Promise<number>,
): Promise<AssistantError> {
  if (isAssistantError(error) || toAssistantError(error).code !== "disk_full") return toAssistantError(error);
  return diskFull(directory, 0, await free(directory).catch(() => 0), error);
}
