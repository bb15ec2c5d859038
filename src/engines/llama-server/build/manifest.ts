import { readFile, realpath, stat } from "node:fs/promises";
import { dirname, join } from "node:path";

/** The description next to a llama-server built by `engine build`. */
export interface BuildManifest {
  /** Version of this file's shape. */
  readonly schema: 1;
  readonly engine: "llama-server";
  /** llama.cpp release that the source bundle carries, such as `v0.5.0`. */
  readonly sourceTag: string;
  readonly sourceCommit: string;
  readonly patches: readonly { readonly name: string; readonly sha256: string }[];
  /** Arguments of cmake's configuration step, without directories. */
  readonly flags: readonly string[];
  readonly backends: readonly string[];
  /** Whether libllama and ggml were compiled here or came with node-llama-cpp. Absent in manifests that are older. */
  readonly libraries?: "compiled" | "prebuilt";
  /** First line of `c++ --version`. */
  readonly compiler: string;
  /** ISO 8601, UTC. */
  readonly builtAt: string;
  readonly buildSeconds: number;
  /** Size of the binary: a file of another size is not the one this describes. */
  readonly binaryBytes: number;
}

export const MANIFEST_NAME = "manifest.json";

/** The patch that makes a busy server notice that a client has left. */
export const DEPARTED_CLIENTS_PATCH = "0001-notice-departed-clients.patch";

/** The patch that keeps what is cached of requests with different `x-cache-scope` headers apart. */
export const CACHE_SCOPES_PATCH = "0005-keep-scopes-apart.patch";

/** The patch that makes a server read from a file how many threads to use. */
export const GRANTED_THREADS_PATCH = "0009-follow-granted-threads.patch";

/**
 * The manifest next to `binary`, or next to the target of a link; null if there is none or it describes another binary.
 */
export async function readManifest(binary: string): Promise<BuildManifest | null> {
  try {
    const file = await realpath(binary);
    const [text, info] = await Promise.all([readFile(join(dirname(file), MANIFEST_NAME), "utf8"), stat(file)]);
    const manifest = JSON.parse(text) as BuildManifest;
    const isWhole = manifest.schema === 1 && Array.isArray(manifest.patches) && Array.isArray(manifest.flags);
    return isWhole && manifest.binaryBytes === info.size ? manifest : null;
  } catch {
    return null;
  }
}

export const carriesPatch = (manifest: BuildManifest | null, name: string): boolean =>
  manifest?.patches.some((patch) => patch.name === name) ?? false;
