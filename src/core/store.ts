import type { Readable } from "node:stream";

/** What an index orders by; a boolean of the value counts as 0 or 1. */
export type FieldValue = string | number;

/**
 * A kind of durable record: JSON objects with an id and a tenant.
 *
 * Indexes name fields at the top level of the value, or `@tenant`. A record that lacks one of an index's fields
 * (missing or null) is not in that index. New indexes may be added to a collection that has records; a field keeps one
 * type.
 */
export interface CollectionSpec<T extends object> {
  /** `a-z`, `0-9` and `_`, at most 40 characters. Never reused for something else. */
  readonly name: string;
  readonly indexes: Readonly<Record<string, readonly (Extract<keyof T, string> | "@tenant")[]>>;
  /** The field that holds the digest of a blob. A blob is kept as long as a record names it. */
  readonly blob?: Extract<keyof T, string>;
  /** Its records count towards what their tenant holds. */
  readonly held?: true;
  /** The field that holds the blob's length in bytes, which counts too. */
  readonly blobBytes?: Extract<keyof T, string>;
}

/** What a tenant's records come to: those of collections that are `held`. */
export interface Holding {
  readonly records: number;
  /** Of their JSON, and of the blobs that they name: one that two of them name counts twice. */
  readonly bytes: number;
}

/** How much each of some tenants may hold, by their names. */
export type HoldingLimits = Readonly<Record<string, Holding>>;

export interface StoredRecord<T extends object> {
  readonly id: string;
  readonly tenant: string;
  readonly value: T;
  /** 1 on creation, and incremented by each change. */
  readonly revision: number;
  /** Its place in the order in which the collection's records were made. */
  readonly position: number;
  /** Epoch milliseconds, like all times here. */
  readonly createdAt: number;
  readonly updatedAt: number;
  /** From then on the record is gone; null: it stays. */
  readonly expiresAt: number | null;
}

export interface PutOptions {
  readonly tenant: string;
  /** Default: it stays. */
  readonly expiresAt?: number | null;
  /** The commit fails unless the record has this revision before it; 0: unless there is none. Default: any. */
  readonly expect?: number;
  /** It is kept however much the tenant holds: it belongs to what was accepted before. Default: limits hold. */
  readonly beyondLimits?: boolean;
}

/** One change of a commit, made by a collection. */
export type Write = {
  readonly collection: string;
  readonly id: string;
  readonly expect: number | null;
} & (
  | {
      readonly op: "put";
      readonly tenant: string;
      /** The value as JSON. */
      readonly json: string;
      /** Of the fields that the collection's indexes name, in the order of `indexedFields`. */
      readonly fields: readonly (FieldValue | null)[];
      readonly expiresAt: number | null;
      /** What it adds to what the tenant holds, in bytes; 0: it does not count. */
      readonly heldBytes: number;
      readonly isLimited: boolean;
    }
  | { readonly op: "remove" }
  | { readonly op: "require" }
);

export type Commit =
  /** `revisions`: what each record has now, in the order of the writes; 0 for one that is not there. */
  | { readonly ok: true; readonly revisions: readonly number[] }
  /** `failed`: index of the first write whose expectation did not hold. Nothing was changed. */
  | { readonly ok: false; readonly failed: number };

export interface RecordQuery {
  /** Name of an index. Default: the order in which records were made. */
  readonly index?: string;
  /** Values of the index's first fields. */
  readonly equals?: readonly FieldValue[];
  /** Least value of the field after those. */
  readonly from?: FieldValue;
  /** The values of that field are less than this one. */
  readonly below?: FieldValue;
}

export interface ListQuery<T extends object> extends RecordQuery {
  /** By the fields of the index after `equals`, then by the order in which records were made. Default: ascending. */
  readonly order?: "asc" | "desc";
  /** At most 1000; a page of large records may be shorter. */
  readonly limit: number;
  /** Where to continue: `next` of the previous page, or any record of the index. */
  readonly after?: string | StoredRecord<T>;
}

export interface Page<T extends object> {
  readonly records: readonly StoredRecord<T>[];
  /** For `after`; null on the last page. */
  readonly next: string | null;
}

/** Reads see every write that was acknowledged before. Expired records are never seen. */
export interface Collection<T extends object> {
  get(id: string): Promise<StoredRecord<T> | null>;
  /** Throws `invalid_request` for a cursor that is not one. */
  list(query: ListQuery<T>): Promise<Page<T>>;
  count(query?: RecordQuery): Promise<number>;
  /** Makes a record or replaces it. Nothing happens before `commit`; so with the other writes. */
  put(id: string, value: T, options: PutOptions): Write;
  /** Removes the record, if it is there. */
  remove(id: string, expect?: number): Write;
  /** Changes nothing; the commit fails unless the record has this revision (0: unless there is none). */
  require(id: string, revision: number): Write;
  /**
   * Replaces the value by the result of `change`, which is called again if another writer was faster; null leaves it
   * unchanged. Keeps tenant and expiry. Resolves with the new record, or null if there is none.
   */
  update(id: string, change: (value: T) => T | null): Promise<StoredRecord<T> | null>;
}

/** Contents of files. One content is kept once, under its SHA-256, as long as a record names it. */
export interface Blobs {
  /**
   * Streams the content to disk; it is durable when this resolves. A record must name it within minutes. Rejects with
   * `body_too_large` past `maxBytes`, with `disk_full`, and with what the source throws; nothing is kept then.
   * `tenant`:
   * whose room it takes; null: it belongs to what was accepted before.
   */
  write(
    source: AsyncIterable<Uint8Array>,
    options: { readonly maxBytes: number; readonly tenant: string | null },
  ): Promise<Blob>;
  /** Null if there is none. `start` and `end` are byte offsets, `end` exclusive. */
  read(digest: string, range?: { readonly start: number; readonly end: number }): Promise<BlobContent | null>;
}

export interface Blob {
  /** SHA-256, 64 hex digits. */
  readonly digest: string;
  readonly bytes: number;
}

export interface BlobContent {
  /** Of the whole content. */
  readonly bytes: number;
  readonly stream: Readable;
}

/**
 * Durable records of the daemon: keys, usage, responses, tasks, conversations. A commit that resolved outlives a crash
 * of the process and a power failure. Everything rejects with AssistantErrors: `data_newer`, `disk_full`,
 * `not_writable`,
 * `store_unavailable`. An implementation passes the suite in `test/support/store-suite.ts`.
 */
export interface Store {
  /** Its location, for messages. */
  readonly location: string;
  readonly blobs: Blobs;
  /** Problems that should be reported, one sentence each. */
  readonly problems: readonly string[];
  /** Whether other daemons have the same records. */
  readonly isShared: boolean;
  /**
   * Calls back with the ids of the collection's records that another daemon has changed, or with null after changes may
   * have been missed. Never where the store is not shared.
   */
  watch(collection: string, changed: (ids: readonly string[] | null) => void): Disposable;
  collection<T extends object>(spec: CollectionSpec<T>): Collection<T>;
  /**
   * Does all of the writes, or none. A record may occur in one of them only. Rejects with `storage_quota_exceeded`
   * where a tenant's holding would grow beyond what `limits` has for it.
   */
  commit(writes: readonly Write[], limits?: HoldingLimits): Promise<Commit>;
  heldBy(tenant: string): Promise<Holding>;
  /**
   * Rejects with `storage_quota_exceeded` or `disk_full` where nothing more may be accepted from a tenant that is to be
   * stored.
   */
  requireRoom(tenant: string): Promise<void>;
  /** Whether a tenant has records, those of the collections in `except` aside. */
  hasRecordsOf(tenant: string, options: { readonly except: readonly string[] }): Promise<boolean>;
  /** Deletes them. */
  removeRecordsOf(tenant: string, options: { readonly except: readonly string[] }): Promise<void>;
  /** Deletes what has expired and the blobs that no record names. Resolves with how many records and blobs. */
  sweep(): Promise<{ readonly records: number; readonly blobs: number }>;
  /** Finishes pending operations. Later calls reject. */
  close(): Promise<void>;
}
