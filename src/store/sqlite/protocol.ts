import type { StoreSync } from "../../core/config.ts";
import type { Holding, HoldingLimits, Write } from "../../core/store.ts";
import type { RawCommit, RawListQuery, RawQuery, RawRecord } from "../records.ts";

/** A collection without its type, for the thread. */
export interface CollectionShape {
  readonly name: string;
  readonly indexes: Readonly<Record<string, readonly string[]>>;
  readonly blob?: string;
  readonly held?: true;
  readonly blobBytes?: string;
}

/** What the thread that has the database may be asked, and what it answers. */
export interface Calls {
  define: { request: { readonly shape: CollectionShape }; answer: null };
  commit: { request: { readonly writes: readonly Write[]; readonly limits: HoldingLimits }; answer: RawCommit };
  heldBy: { request: { readonly tenant: string }; answer: Holding };
  get: { request: { readonly collection: string; readonly id: string }; answer: RawRecord | null };
  list: {
    request: { readonly query: RawListQuery };
    answer: { readonly records: RawRecord[]; readonly more: boolean };
  };
  count: { request: { readonly query: RawQuery }; answer: number };
  /** Whether the tenant has records outside of some collections. */
  hasRecordsOf: { request: { readonly tenant: string; readonly except: readonly string[] }; answer: boolean };
  /** Deletes some of those; resolves with how many. */
  removeRecordsOf: {
    request: { readonly tenant: string; readonly except: readonly string[]; readonly limit: number };
    answer: number;
  };
  /** Deletes some of what has expired; resolves with how many. */
  expire: { request: { readonly limit: number }; answer: number };
  /** Those of the digests that no record names. */
  unreferenced: { request: { readonly digests: readonly string[] }; answer: string[] };
  check: { request: object; answer: string[] };
  backup: { request: { readonly file: string }; answer: null };
}

export type CallName = keyof Calls;
export type Request<Name extends CallName = CallName> = Name extends CallName
  ? { readonly call: Name } & Calls[Name]["request"]
  : never;

/** Requests are sent together and share one transaction. */
export interface Batch {
  /** Epoch milliseconds: what has expired by then is gone. */
  readonly now: number;
  readonly requests: readonly Request[];
}

export type Reply = { readonly answer: unknown } | { readonly error: ErrorShape };
export interface BatchReply {
  readonly replies: readonly Reply[];
  /** Problems of the file found since the last reply. */
  readonly problems: readonly string[];
}

/** An AssistantError on its way between threads. */
export interface ErrorShape {
  readonly code: string;
  readonly message: string;
  readonly remedy: string | null;
}

export interface ThreadData {
  readonly file: string;
  /** The file belongs to another process too, which sees to it when it is damaged. */
  readonly guest: boolean;
  /** When writes reach the disk. */
  readonly sync: StoreSync;
}
