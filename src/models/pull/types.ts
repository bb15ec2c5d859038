import type { FileRole, ModelFileFacts } from "../file-set.ts";
import type { ModelStore } from "../store.ts";
import type { PartialFile } from "./partial.ts";

export type PullPhase = "wait" | "download" | "extract" | "verify";

/** At most ten of these a second. */
export interface PullProgress {
  readonly phase: PullPhase;
  /** The source of the bytes, for people. */
  readonly source: string;
  readonly bytes: number;
  /** Null where it is not known. */
  readonly totalBytes: number | null;
}

/** What is known of the finished file. */
export interface Expected {
  readonly bytes: number | null;
  /** Lower-case hex. */
  readonly sha256: string | null;
}

/** Waiting times, milliseconds. */
export interface PullTiming {
  /** Until a connection is there. */
  readonly connectMs: number;
  /** Without a byte, before or in a response, until the connection is closed. */
  readonly stallMs: number;
  /** Before the first attempt to resume a broken transfer; doubled each time. */
  readonly retryMs: number;
  /** Without progress of pip (which looks for the package before it loads it) until it is ended. */
  readonly pipStallMs: number;
}

export const defaultTiming: PullTiming = { connectMs: 5_000, stallMs: 15_000, retryMs: 500, pipStallMs: 30_000 };

/** How large files are divided over several connections, since many servers limit the rate of each one. */
export interface PieceLimits {
  /** Less than this that is still to come arrives over one connection. */
  readonly minBytes: number;
  readonly pieceBytes: number;
  readonly connections: number;
}

/** Pieces that arrive before their turn wait in memory: at most `connections` times `pieceBytes`, 16 MiB. */
export const defaultPieces: PieceLimits = { minBytes: 64 * 2 ** 20, pieceBytes: 4 * 2 ** 20, connections: 4 };

/** What another machine says of a model that it hands out. */
export interface NodeModel {
  readonly name: string;
  /** Of a model of several files, the weights first; null: `bytes` and `sha256` are those of the one file. */
  readonly files: readonly ModelFileFacts[] | null;
  readonly bytes: number;
  /** Lower-case hex. */
  readonly sha256: string;
  /** Its original source, as reported by that machine; "" if not reported. */
  readonly reference: string;
  /** SPDX id; "" where it is not known. */
  readonly licence: string;
}

/** Another machine whose models can be taken over. */
export interface NodeStore {
  /** Name among the remote servers. */
  readonly node: string;
  /**
   * Rejects with the other machine's own error where it does not have the model, `node_unavailable` where it does not
   * answer.
   */
  describe(model: string, timing: PullTiming, signal: AbortSignal): Promise<NodeModel>;
  /**
   * The bytes of the file with this digest from `offset` on. Only consumed data is sent; ending the iteration ends the
   * transfer there too. Throws `node_unavailable` for a broken transfer that may be resumed, any other error for one
   * that may not.
   */
  fetch(
    file: Pick<NodeModel, "name" | "sha256">,
    offset: number,
    timing: PullTiming,
    signal: AbortSignal,
  ): AsyncIterable<Uint8Array>;
}

export interface PullOptions {
  /** Its folder is created if needed. */
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
  /** Whether paths of this machine may be pulled from. Default: yes. */
  readonly allowLocal?: boolean;
  /**
   * Memory that a model may take: without a quantization in the reference, one that fits is chosen. Default: no limit.
   */
  readonly memoryBytes?: number | null;
  /** Whether addresses of this machine and of private networks may be reached. Default: no. */
  readonly allowPrivate?: boolean;
  /** Stops the pull; what was downloaded is kept for the next one. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: PullProgress) => void;
  readonly timing?: Partial<PullTiming>;
  readonly pieces?: PieceLimits;
  /** Bytes that may still be written to the disk of a path. */
  readonly free?: (path: string) => Promise<number>;
}

export interface PulledModel {
  readonly name: string;
  /** Absolute path of the weights; of the first one of several parts. */
  readonly file: string;
  /** Absolute path of the multimodal projector that came with them, or null. */
  readonly projector: string | null;
  /** Of all files. */
  readonly bytes: number;
  /** Lower-case hex; of several files that of their list (`digestOfSet`). */
  readonly sha256: string;
  /** Of a model of several files, the weights first. */
  readonly files?: readonly ModelFileFacts[];
  /**
   * Canonical: a catalog name, `hf:ORG/REPO/FILE`, `ollama:NAME:TAG`, `pypi:PACKAGE`, `npm:PACKAGE`, a URL, a path, or
   * `node:NODE/MODEL`.
   */
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
  readonly pieces: PieceLimits;
  readonly signal: AbortSignal;
  /** Variables that proxies and programs need. */
  readonly env: Readonly<Record<string, string | undefined>>;
  report(phase: PullPhase, bytes: number, totalBytes: number | null): void;
  /** Throws `disk_full` unless `bytes` more fit. */
  needRoom(bytes: number): Promise<void>;
}

/** One of the files that a pull brings, and the places it may come from, in order. */
export interface WantedFile {
  /** In the folder of a model of several files. */
  readonly name: string;
  readonly role: FileRole;
  readonly expected: Expected;
  readonly sources: readonly Source[];
}

/** One place that the bytes of a file may come from. */
export interface Source {
  /** For progress, errors and the manifest. */
  readonly label: string;
  /**
   * Fills `delivery.into` and returns what the source itself says of the file. Throws with the reason when it cannot;
   * the partial file stays then.
   */
  deliver(delivery: Delivery): Promise<Expected>;
  /**
   * Its first `bytes` bytes, or all where it has fewer, and how long it is, without more of it being transferred.
   * Missing: the source cannot.
   */
  peek?(bytes: number, context: Pick<Delivery, "env" | "timing" | "signal" | "expected">): Promise<Peeked>;
}

interface Peeked {
  readonly head: Buffer;
  /** Null if the source does not report it. */
  readonly totalBytes: number | null;
}

export const nothingKnown: Expected = { bytes: null, sha256: null };
