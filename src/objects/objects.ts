import { randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import { OBJECTS_PATH, type ObjectPage, type ObjectRef } from "../api/objects.ts";
import { AssistantError } from "../core/errors.ts";
import type { BlobContent, Collection, CollectionSpec, Store, StoredRecord } from "../core/store.ts";

/** How the content of an object is to be read. */
export type ObjectContentType = ObjectRef["content_type"];

/** An object as its record names it. */
export interface StoredObject {
  /** The client's own name for it. */
  readonly key: string;
  readonly bytes: number;
  readonly digest: string;
  readonly contentType: ObjectContentType;
  /** Epoch milliseconds. */
  readonly createdAt: number;
  /** From then on it is gone; null or missing: it stays. */
  readonly expiresAt?: number | null;
}

export interface ObjectSettings {
  /** Of one object. */
  readonly limitBytes: number;
  /** How long objects are kept; 0: until they are deleted. */
  readonly keepMs: number;
}

const COLLECTION: CollectionSpec<StoredObject> = {
  name: "objects",
  indexes: { tenant: ["@tenant", "key"], age: ["@tenant", "createdAt"] },
  blob: "digest",
  held: true,
  blobBytes: "bytes",
};
const PAGE = 1_000;
const MAX_KEY_BYTES = 256;
/** The longest JSON, which is read whole to see that it is JSON. */
const MAX_JSON_BYTES = 64 * 2 ** 20;

const refOf = ({ key, bytes, createdAt, expiresAt = null, contentType }: StoredObject): ObjectRef => ({
  path: `${OBJECTS_PATH}/${encodeURIComponent(key)}`,
  key,
  size: bytes,
  created_at: createdAt / 1000,
  expires_at: expiresAt === null ? null : expiresAt / 1000,
  content_type: contentType,
});

/** Objects of all tenants, each of which sees only its own. A key names a record and never a file. */
export class Objects {
  readonly #store: Store;
  readonly #records: Collection<StoredObject>;
  readonly #settings: () => ObjectSettings;
  readonly #isHeavy: (json: Buffer) => boolean;

  /** `settings` are read for each object. `isHeavy`: whether parsing a JSON would take too long, or too much memory. */
  constructor(store: Store, settings: () => ObjectSettings, isHeavy: (json: Buffer) => boolean) {
    this.#store = store;
    this.#records = store.collection(COLLECTION);
    this.#settings = settings;
    this.#isHeavy = isHeavy;
  }

  /**
   * Stores content under a given or generated key; an existing object is replaced. `ttlMs`: its lifetime, null: the
   * default of the settings. Rejects with `body_too_large`, `invalid_json`, `invalid_request`,
   * `storage_quota_exceeded`.
   */
  async create(
    tenant: string,
    key: string | null,
    contentType: ObjectContentType,
    content: AsyncIterable<Uint8Array>,
    ttlMs: number | null = null,
  ): Promise<ObjectRef> {
    if (key !== null) checkKey(key);
    const { limitBytes: maxBytes, keepMs } = this.#settings();
    const source = contentType === "json" ? await this.#checkedJson(content, maxBytes) : content;
    const { digest, bytes } = await this.#store.blobs.write(source, { maxBytes, tenant });
    const named = key ?? `obj-${digest.slice(0, 8)}-${randomBytes(6).toString("hex")}`;
    const createdAt = Date.now();
    const kept = ttlMs ?? keepMs;
    const expiresAt = kept === 0 ? null : createdAt + kept;
    const object = { key: named, bytes, digest, contentType, createdAt, expiresAt };
    await this.#store.commit([this.#records.put(idOf(tenant, named), object, { tenant, expiresAt })]);
    return refOf(object);
  }

  /** Rejects with `object_not_found`. */
  async ref(tenant: string, key: string): Promise<ObjectRef> {
    return refOf((await this.#find(tenant, key)).value);
  }

  /** Rejects with `object_not_found`. */
  async read(tenant: string, key: string): Promise<{ readonly object: StoredObject; readonly content: BlobContent }> {
    const { value: object } = await this.#find(tenant, key);
    const content = await this.#store.blobs.read(object.digest);
    if (content !== null) return { object, content };
    throw new AssistantError("internal", `The content of the object "${key}" is missing in the store.`);
  }

  /**
   * In the order of their keys. `after`: the last key of the page before, which may be deleted meanwhile. Rejects with
   * `object_not_found` for what cannot be a key.
   */
  async list(
    tenant: string,
    { limit, after }: { readonly limit: number; readonly after: string | null },
  ): Promise<ObjectPage> {
    if (after !== null && !isKey(after)) throw unknown(after);
    const last = after === null ? null : await this.#records.get(idOf(tenant, after));
    const from = after === null ? {} : last === null ? { from: after } : { after: last };
    const { records, next } = await this.#records.list({ index: "tenant", equals: [tenant], limit, ...from });
    return {
      objects: records.map(({ value }) => refOf(value)),
      next: next === null ? null : (records.at(-1)?.value.key ?? null),
    };
  }

  /** Rejects with `object_not_found`. */
  async delete(tenant: string, key: string): Promise<void> {
    const { id } = await this.#find(tenant, key);
    await this.#store.commit([this.#records.remove(id)]);
  }

  /** Deletes those that are older. Resolves with how many. */
  async cleanup(tenant: string, maxAgeMs: number, now = Date.now()): Promise<number> {
    let deleted = 0;
    for (;;) {
      const query = { index: "age", equals: [tenant], below: now - maxAgeMs, limit: PAGE };
      const { records } = await this.#records.list(query);
      if (records.length === 0) return deleted;
      // One that was replaced meanwhile is not old.
      const { ok } = await this.#store.commit(records.map(({ id, revision }) => this.#records.remove(id, revision)));
      if (ok) deleted += records.length;
    }
  }

  async #find(tenant: string, key: string): Promise<StoredRecord<StoredObject>> {
    const record = isKey(key) ? await this.#records.get(idOf(tenant, key)) : null;
    if (record !== null) return record;
    throw unknown(key);
  }

  /** The content, once it is known to be JSON. */
  async #checkedJson(content: AsyncIterable<Uint8Array>, limitBytes: number): Promise<AsyncIterable<Uint8Array>> {
    const most = Math.min(limitBytes, MAX_JSON_BYTES);
    const parts: Uint8Array[] = [];
    let bytes = 0;
    for await (const part of content) {
      bytes += part.length;
      if (bytes > most)
        throw new AssistantError("body_too_large", `The JSON is larger than the ${most} bytes that are allowed.`, {
          remedy: "Send it as application/octet-stream.",
        });
      parts.push(part);
    }
    const whole = Buffer.concat(parts);
    if (this.#isHeavy(whole))
      throw new AssistantError(
        "invalid_json",
        "The JSON has too many values, or is nested too deeply, to be checked.",
        {
          remedy: "Send it as application/octet-stream.",
        },
      );
    try {
      JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(whole));
    } catch {
      throw new AssistantError("invalid_json", "The object is not JSON.", {
        remedy: "Send it as application/octet-stream.",
      });
    }
    return Readable.from([whole]);
  }
}

const idOf = (tenant: string, key: string): string => `${tenant}\n${key}`;

/** Printable text of one line; what it looks like does not matter, as it never becomes a path. */
const isKey = (key: string): boolean =>
  key.length > 0 && Buffer.byteLength(key) <= MAX_KEY_BYTES && !/\p{Cc}/u.test(key);

function checkKey(key: string): void {
  if (isKey(key)) return;
  throw new AssistantError(
    "invalid_request",
    `"key" must be 1 to ${MAX_KEY_BYTES} bytes of text without control characters; found ${JSON.stringify(key.slice(0, 60))}.`,
    { param: "key" },
  );
}

const unknown = (key: string): AssistantError =>
  new AssistantError("object_not_found", `There is no object ${JSON.stringify(key.slice(0, 100))}.`, {
    param: "key",
    remedy: `\`GET ${OBJECTS_PATH}\` lists yours.`,
  });
