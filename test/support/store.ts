import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Documents } from "../../src/core/documents.ts";
import { type PulledModel, type PullOptions, type PullProgress, pull } from "../../src/models/pull.ts";
import type { ModelStore } from "../../src/models/store.ts";
import { JsonDocuments } from "../../src/store/json-documents.ts";
import { emptyGguf } from "./gguf-writer.ts";

/** Waiting times of tests: faults show at once, and a slow machine is no fault. */
export const quick = { connectMs: 2_000, stallMs: 400, retryMs: 5, pipStallMs: 400 };

/** A GGUF file of so many bytes, without metadata and tensors: random bytes follow its header. */
export const ggufLike = (bytes: number): Buffer => Buffer.concat([emptyGguf, randomBytes(bytes - emptyGguf.length)]);

export const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

/** Documents in a directory; what is reported of them goes to `report`. */
export const documentsIn = (directory: string, report: (problem: string) => void = () => {}): Documents =>
  new JsonDocuments({ directory, fileMode: 0o600, directoryMode: null, report });

/** The pulled models in a directory. */
export const modelStoreIn = (weightsDir: string): ModelStore => ({
  weightsDir,
  manifests: new JsonDocuments({ directory: weightsDir, fileMode: 0o644, directoryMode: null, report: () => {} }),
});

/** A store in a directory of its own, and pulls into it that may reach this machine. */
export interface TestStore extends AsyncDisposable {
  readonly dir: string;
  readonly models: ModelStore;
  readonly progress: PullProgress[];
  pull(reference: string, options?: Partial<PullOptions>): Promise<PulledModel>;
  /** Names of all files there, sorted. */
  files(): Promise<string[]>;
}

export async function testStore(): Promise<TestStore> {
  const dir = await mkdtemp(join(tmpdir(), "assistant-store-"));
  const models = modelStoreIn(dir);
  const progress: PullProgress[] = [];
  return {
    dir,
    models,
    progress,
    pull: (reference, options = {}) =>
      pull(reference, {
        store: models,
        env: { PATH: "/nowhere" },
        allowPrivate: true,
        timing: quick,
        onProgress: (now) => void progress.push(now),
        ...options,
      }),
    files: async () => (await readdir(dir)).sort(),
    [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true, maxRetries: 3 }),
  };
}
