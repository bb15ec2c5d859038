import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { text } from "node:stream/consumers";
import type { Documents, DocumentType } from "../core/documents.ts";
import { programFile, version } from "../core/package.ts";
import type { FitSettings, MemoryEstimate } from "./fit.ts";
import { holdsNoModel } from "./gguf-header.ts";

export interface EstimateJob {
  /** Stands for the file, its bytes, the settings and the version of the formula. */
  readonly key: string;
  readonly file: string;
  readonly settings: FitSettings;
}

export interface EstimateAnswer {
  readonly key: string;
  /** Null: the file cannot be read as a model. */
  readonly estimate: MemoryEstimate | null;
}

/** Of one process, which takes about a second of a core: a busy machine may give it a fraction of one. */
const TIMEOUT_MS = 60_000;
/** Of one process, so that many models on a busy machine do not run into its time-out together. */
const JOBS_AT_ONCE = 32;
/** Estimates that are kept; the oldest go first. Some hundred models have two each. */
const MAX_KEPT = 1_000;
const NAME = "memory-estimates";
/** Raised when the formula of fit.ts changes. */
const FORMULA_VERSION = 4;

const program = programFile("src/models/estimate-program");

/** A job for these weights as they are now. Rejects where the file is not there. */
export async function estimateJob(file: string, settings: FitSettings): Promise<EstimateJob> {
  const { size, mtimeMs } = await stat(file);
  const key = createHash("sha256").update(JSON.stringify([FORMULA_VERSION, version, file, size, mtimeMs, settings]));
  return { key: key.digest("hex").slice(0, 32), file, settings };
}

type Entries = readonly (readonly [key: string, estimate: MemoryEstimate | null])[];

const estimatesDocument: DocumentType<Entries> = {
  title: "memory estimates",
  schema: 1,
  durable: false,
  parse: (value) =>
    Array.isArray(value) && value.every((entry) => Array.isArray(entry) && typeof entry[0] === "string")
      ? (value as Entries)
      : null,
};

/**
 * Memory estimates, kept between runs, so that a daemon has them when it starts. What is missing is computed by a
 * short-lived process: half a second of one core, and nothing of it stays in this one.
 */
export class Estimates {
  readonly #documents: Documents;
  readonly #nodePath: string;
  readonly #closed = new AbortController();
  #known: Map<string, MemoryEstimate | null> | null = null;

  /** `nodePath` is the Node.js that runs the process. */
  constructor(documents: Documents, nodePath: string) {
    this.#documents = documents;
    this.#nodePath = nodePath;
  }

  /** Ends the process that computes, if there is one; `of` rejects then. */
  close(): void {
    this.#closed.abort();
  }

  /** The estimates of these jobs that are kept, by key. Reads the document once; never rejects. */
  async recall(jobs: readonly EstimateJob[]): Promise<Map<string, MemoryEstimate | null>> {
    // An unreadable one is computed again.
    this.#known ??= new Map(await this.#documents.read(NAME, estimatesDocument).catch(() => null));
    const found = new Map<string, MemoryEstimate | null>();
    for (const { key } of jobs) {
      const estimate = this.#known.get(key);
      if (estimate !== undefined) found.set(key, estimate);
    }
    return found;
  }

  /** Estimates for all jobs, by key; a job that took too long is missing. Rejects when the process cannot be run. */
  async of(jobs: readonly EstimateJob[]): Promise<Map<string, MemoryEstimate | null>> {
    const found = await this.recall(jobs);
    // The process would take half a second to find the same.
    for (const { key, file } of jobs)
      if (!found.has(key) && (await holdsNoModel(file).catch(() => false))) found.set(key, null);
    const missing = jobs.filter(
      ({ key }, index) => !found.has(key) && jobs.findIndex((job) => job.key === key) === index,
    );
    for (let start = 0; start < missing.length; start += JOBS_AT_ONCE) {
      const some = missing.slice(start, start + JOBS_AT_ONCE);
      for (const { key, estimate } of await compute(some, "background", this.#nodePath, this.#closed.signal)) {
        found.set(key, estimate);
        this.#known?.set(key, estimate);
      }
      const entries = [...(this.#known ?? found)].slice(-MAX_KEPT);
      // What cannot be kept is computed again next time.
      await this.#documents.write(NAME, estimatesDocument, entries).catch(() => {});
    }
    return found;
  }
}

/**
 * One estimate that is not kept; null for a file that cannot be read as a model. llama.cpp aborts the process that
 * reads some damaged ones.
 */
export async function estimateApart(
  file: string,
  settings: FitSettings,
  nodePath: string,
): Promise<MemoryEstimate | null> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const [answer] = await compute([{ key: "", file, settings }], "awaited", nodePath, signal).catch(() => []);
  return answer?.estimate ?? null;
}

/** `awaited`: a caller is waiting, so the process does not run at low priority. */
async function compute(
  jobs: readonly EstimateJob[],
  urgency: "awaited" | "background",
  nodePath: string,
  signal: AbortSignal,
): Promise<EstimateAnswer[]> {
  const child = spawn(nodePath, [program, urgency], {
    env: { NODE_NO_WARNINGS: "1" },
    stdio: ["pipe", "pipe", "pipe"],
    timeout: TIMEOUT_MS,
    killSignal: "SIGKILL",
    signal,
  });
  const ended = new Promise<number | null>((resolve, reject) => child.once("error", reject).once("close", resolve));
  // It has no pipes then, such as where no file descriptor was left for them.
  if (child.pid === undefined) await ended;
  // A child that dies early breaks the pipe; its exit code is reported.
  child.stdin.on("error", () => {}).end(JSON.stringify(jobs));
  const [out, complaint, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  if (code !== 0)
    throw new Error(
      `the process that estimates memory ended with ${code ?? "a signal"}: ${complaint.trim().slice(0, 500)}`,
    );
  return JSON.parse(out) as EstimateAnswer[];
}
