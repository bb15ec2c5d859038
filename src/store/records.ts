import { AssistantError } from "../core/errors.ts";
import type {
  Collection,
  CollectionSpec,
  Commit,
  FieldValue,
  Holding,
  ListQuery,
  Page,
  PutOptions,
  RecordQuery,
  Store,
  StoredRecord,
  Write,
} from "../core/store.ts";

/** A record as a backend has it: its value is JSON. */
export interface RawRecord extends Omit<StoredRecord<object>, "value"> {
  readonly json: string;
}

/** A query in terms that a backend needs no specification for. */
export interface RawQuery {
  readonly collection: string;
  /** Fields of the index, in order; none: the order in which records were made. */
  readonly fields: readonly string[];
  readonly equals: readonly FieldValue[];
  readonly from: FieldValue | null;
  readonly below: FieldValue | null;
}

export interface RawListQuery extends RawQuery {
  readonly descending: boolean;
  readonly limit: number;
  /** Values of the fields after `equals`, then the position. */
  readonly after: readonly FieldValue[] | null;
}

/** What a tenant would hold after a commit. */
export interface Exceeded {
  readonly tenant: string;
  readonly held: Holding;
  readonly limit: Holding;
}

/** What a backend answers; the store makes an error of `exceeded`. */
export type RawCommit = Commit | { readonly ok: false; readonly exceeded: Exceeded };

/** Rejects with `storage_quota_exceeded` where a limit did not hold. */
export function committed(commit: RawCommit): Commit {
  if ("exceeded" in commit) throw quotaExceeded(commit.exceeded);
  return commit;
}

const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(bytes < 10 * 2 ** 20 ? 2 : 0);

export const quotaExceeded = ({ tenant, held, limit }: Exceeded): AssistantError =>
  new AssistantError(
    "storage_quota_exceeded",
    `The API key "${tenant}" has ${mib(held.bytes)} MiB stored in ${held.records} records, and may have ${mib(limit.bytes)} MiB (max_stored_mib) in ${limit.records} records (max_stored_records); this would exceed the limit.`,
    {
      remedy:
        "Delete files, objects, responses, conversations, batches or tasks that are no longer needed, " +
        "or have the key's limits raised.",
    },
  );

/** What differs between implementations of the store. */
export interface RecordBackend extends Pick<Store, "commit"> {
  get(collection: string, id: string): Promise<RawRecord | null>;
  list(query: RawListQuery): Promise<{ readonly records: readonly RawRecord[]; readonly more: boolean }>;
  count(query: RawQuery): Promise<number>;
}

const MAX_PAGE = 1_000;
const MAX_ID_LENGTH = 512;

/** The fields of values that indexes of the collection name, each once. */
export const indexedFields = ({ indexes, blob, blobBytes }: CollectionSpec<never>): string[] =>
  [...new Set([...Object.values<readonly string[]>(indexes).flat(), blob, blobBytes])].filter(
    (field) => field !== undefined && field !== "@tenant",
  ) as string[];

/** A collection over any backend: values to JSON and back, cursors, and updates that try again. */
export class RecordCollection<T extends object> implements Collection<T> {
  readonly #spec: CollectionSpec<T>;
  readonly #backend: RecordBackend;
  readonly #fields: readonly string[];

  constructor(spec: CollectionSpec<T>, backend: RecordBackend) {
    this.#spec = spec;
    this.#backend = backend;
    this.#fields = indexedFields(spec as CollectionSpec<never>);
  }

  async get(id: string): Promise<StoredRecord<T> | null> {
    const raw = await this.#backend.get(this.#spec.name, id);
    return raw === null ? null : parsed<T>(raw);
  }

  async list(query: ListQuery<T>): Promise<Page<T>> {
    const raw = this.#rawQuery(query);
    const ordering = raw.fields.slice(raw.equals.length);
    const cursor = (record: StoredRecord<T>): FieldValue[] => [
      ...ordering.map((field) => fieldOf(record.value, record.tenant, field) ?? ""),
      record.position,
    ];
    const { after } = query;
    const { records: found, more } = await this.#backend.list({
      ...raw,
      descending: query.order === "desc",
      limit: Math.max(1, Math.min(MAX_PAGE, Math.floor(query.limit))),
      after: after === undefined ? null : typeof after === "string" ? decoded(after, ordering.length) : cursor(after),
    });
    const records = found.map((record) => parsed<T>(record));
    const last = records.at(-1);
    return { records, next: more && last !== undefined ? encoded(cursor(last)) : null };
  }

  count(query: RecordQuery = {}): Promise<number> {
    return this.#backend.count(this.#rawQuery(query));
  }

  put(id: string, value: T, { tenant, expiresAt = null, expect, beyondLimits = false }: PutOptions): Write {
    if (id === "" || id.length > MAX_ID_LENGTH)
      throw new AssistantError("invalid_request", `An id has 1 to ${MAX_ID_LENGTH} characters; found ${id.length}.`);
    const fields = this.#fields.map((field) => fieldOf(value, tenant, field));
    const json = JSON.stringify(value);
    const { name: collection, held = false, blobBytes } = this.#spec;
    const ofBlob = blobBytes === undefined ? 0 : Number(value[blobBytes] ?? 0);
    const heldBytes = held ? Buffer.byteLength(json) + ofBlob : 0;
    const record = { collection, id, tenant, json, fields, expiresAt, expect: expect ?? null };
    return { op: "put", ...record, heldBytes, isLimited: held && !beyondLimits };
  }

  remove(id: string, expect?: number): Write {
    return { op: "remove", collection: this.#spec.name, id, expect: expect ?? null };
  }

  require(id: string, revision: number): Write {
    return { op: "require", collection: this.#spec.name, id, expect: revision };
  }

  async update(id: string, change: (value: T) => T | null): Promise<StoredRecord<T> | null> {
    for (;;) {
      const record = await this.get(id);
      const value = record === null ? null : change(record.value);
      if (record === null || value === null) return record;
      const { tenant, expiresAt, revision } = record;
      const options = { tenant, expiresAt, expect: revision, beyondLimits: true };
      const result = await this.#backend.commit([this.put(id, value, options)]);
      if (result.ok) return { ...record, value, revision: revision + 1, updatedAt: Date.now() };
    }
  }

  #rawQuery({ index, equals = [], from, below }: RecordQuery): RawQuery {
    const { name, indexes } = this.#spec;
    const fields: readonly string[] | undefined = index === undefined ? [] : indexes[index];
    if (fields === undefined) throw new TypeError(`The collection ${name} has no index ${index}.`);
    const isRange = from !== undefined || below !== undefined;
    if (equals.length + (isRange ? 1 : 0) > fields.length)
      throw new TypeError(`The index ${index} of ${name} has fewer fields than the query.`);
    return { collection: name, fields, equals, from: from ?? null, below: below ?? null };
  }
}

const parsed = <T extends object>({ json, ...rest }: RawRecord): StoredRecord<T> => ({
  ...rest,
  value: JSON.parse(json) as T,
});

function fieldOf(value: object, tenant: string, field: string): FieldValue | null {
  if (field === "@tenant") return tenant;
  const found = (value as Readonly<Record<string, unknown>>)[field];
  if (found === undefined || found === null) return null;
  if (typeof found === "boolean") return Number(found);
  if (typeof found === "string" || (typeof found === "number" && Number.isFinite(found))) return found;
  throw new TypeError(`The indexed field ${field} must be a text, a number or a boolean.`);
}

const encoded = (cursor: readonly FieldValue[]): string => Buffer.from(JSON.stringify(cursor)).toString("base64url");

function decoded(text: string, fields: number): FieldValue[] {
  try {
    const cursor: unknown = JSON.parse(Buffer.from(text, "base64url").toString());
    const isValue = (value: unknown): boolean => typeof value === "string" || typeof value === "number";
    if (Array.isArray(cursor) && cursor.length === fields + 1 && cursor.every(isValue)) return cursor;
  } catch {
    // Said below, in the same words.
  }
  throw new AssistantError("invalid_request", "The cursor is not one that an earlier page of this list returned.", {
    param: "after",
    remedy: "Send the cursor of the page before unchanged, or none for the first page.",
  });
}
