import type { ModelStore } from "../store.ts";
import type { PartialFile } from "./partial.ts";

export type PullPhase = "wait" | "download" | "extract" | "verify";

/** At most ten of these a second. */
export interface PullProgress {
  readonly phase: PullPhase;
  /** Where the bytes come from, for people. */
  readonly source: string;
  readonly bytes: number;
  /** Null where it is not known. */
  readonly totalBytes: number | null;
}

/** What the finished file must be, as far as it is known. */
export interface Expected {
  readonly bytes: number | null;
  /** Lower-case hex. */
  readonly sha256: string | null;
}

/** Waiting times, milliseconds. */
export interface PullTiming {
  /** Until a connection is there. */
  readonly connectMs: number;
  /** Without a byte, before or in an answer, until the connection is given up. */
  readonly stallMs: number;
  /** Before the first of the attempts to go on with a broken transfer; doubled each time. */
  readonly retryMs: number;
  /** Without progress of pip (which looks for the package before it loads it) until it is ended. */
  readonly pipStallMs: number;
}

export const defaultTiming: PullTiming = { connectMs: 5_000, stallMs: 15_000, retryMs: 500, pipStallMs: 30_000 };

/** What another machine says of a model that it hands out. */
export interface NodeModel {
  readonly name: string;
  readonly bytes: number;
  /** Lower-case hex. */
  readonly sha256: string;
  /** Where it came from at first, as that machine tells; "" where it does not. */
  readonly reference: string;
  /** SPDX id; "" where it is not known. */
  readonly licence: string;
}

/** Another machine whose models can be taken over. */
export interface NodeStore {
  /** Name among the remote servers. */
  readonly node: string;
  /** Rejects with the other machine's own error where it does not have the model, `node_unavailable` where it does not answer. */
  describe(model: string, timing: PullTiming, signal: AbortSignal): Promise<NodeModel>;
  /**
   * The bytes from `offset` on. What is not taken is not sent; ending the iteration ends the transfer there too. Throws
   * `node_unavailable` for a transfer that broke and may go on, any other error for one that may not.
   */
  fetch(model: NodeModel, offset: number, timing: PullTiming, signal: AbortSignal): AsyncIterable<Uint8Array>;
}

export interface PullOptions {
  /** Its folder is made if it is not there. */
  readonly store: ModelStore;
  /** Proxies (`HTTPS_PROXY`, `NO_PROXY`), `HF_ENDPOINT`, `HF_TOKEN`, and what pip needs (`PATH`, `HOME`, `PIP_*`). */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Relative paths are relative to this directory. Default: the process's. */
  readonly cwd?: string;
  /** Name in the store. Default: the catalog's name, or the file's without `.gguf`. */
  readonly name?: string | null;
  /** The file must have this SHA-256 (hex). */
  readonly sha256?: string | null;
  /** The reference is the name of a model of this machine. Default: null. */
  readonly from?: NodeStore | null;
  /** Whether addresses of this machine and of private networks may be reached. Default: no. */
  readonly allowPrivate?: boolean;
  /** Stops the pull; what was downloaded is kept for the next one. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: PullProgress) => void;
  readonly timing?: Partial<PullTiming>;
  /** Bytes that may still be written to the disk of a path. */
  readonly free?: (path: string) => Promise<number>;
}

export interface PulledModel {
  readonly name: string;
  /** Absolute path of the weights. */
  readonly file: string;
  readonly bytes: number;
  /** Lower-case hex. */
  readonly sha256: string;
  /** Canonical: a catalog name, `hf:ORG/REPO/FILE`, a URL, a path, or `node:NODE/MODEL`. */
  readonly reference: string;
  /** Which source delivered it. */
  readonly source: string;
  readonly licence: string | null;
  /** It was in the store before this pull. */
  readonly alreadyPresent: boolean;
}

/** What a source has at hand while it delivers. */
export interface Delivery {
  readonly into: PartialFile;
  readonly expected: Expected;
  readonly timing: PullTiming;
  readonly signal: AbortSignal;
  /** Variables that proxies and programs need. */
  readonly env: Readonly<Record<string, string | undefined>>;
  report(phase: PullPhase, bytes: number, totalBytes: number | null): void;
  /** Throws `disk_full` unless `bytes` more fit. */
  needRoom(bytes: number): Promise<void>;
}

/** One place that the bytes of a model may come from. */
export interface Source {
  /** For progress, errors and the manifest. */
  readonly label: string;
  /** Fills `delivery.into` and returns what the source itself says of the file. Throws with the reason when it cannot; the partial file stays then. */
  deliver(delivery: Delivery): Promise<Expected>;
}

export const nothingKnown: Expected = { bytes: null, sha256: null };
