import { isUtf8 } from "node:buffer";
import { randomBytes } from "node:crypto";
import { buffer } from "node:stream/consumers";
import { AssistantError, isAssistantError } from "../../../../core/errors.ts";
import type { BlobContent, Collection, CollectionSpec, Store, StoredRecord, Write } from "../../../../core/store.ts";

/** A file that a client has uploaded. */
export interface StoredFile {
  readonly filename: string;
  readonly purpose: string;
  readonly bytes: number;
  readonly digest: string;
}

export interface NewFile extends Pick<StoredFile, "filename" | "purpose"> {
  /** Seconds; null: it stays until it is deleted. */
  readonly expiresAfterS: number | null;
}

export interface FileQuery {
  /** Null: all. */
  readonly purpose: string | null;
  readonly order: "asc" | "desc";
  readonly limit: number;
  /** Id of the last file of the previous page; null: the first page. */
  readonly after: string | null;
}

const COLLECTION: CollectionSpec<StoredFile> = {
  name: "files",
  indexes: { tenant: ["@tenant"], purpose: ["@tenant", "purpose"] },
  blob: "digest",
  held: true,
  blobBytes: "bytes",
};

/** Files of all tenants: one for the daemon, for all doors. A tenant sees only its own. */
export class Files {
  readonly #store: Store;
  readonly #records: Collection<StoredFile>;
  readonly #limitBytes: () => number;

  /** `limitBytes`: per file, read for each. */
  constructor(store: Store, limitBytes: () => number) {
    this.#store = store;
    this.#records = store.collection(COLLECTION);
    this.#limitBytes = limitBytes;
  }

  get limitBytes(): number {
    return this.#limitBytes();
  }

  /** Writes a content to disk; `add` gives it a name. Rejects with `body_too_large` and `storage_quota_exceeded`. */
  write(
    tenant: string,
    content: AsyncIterable<Uint8Array>,
  ): Promise<{ readonly digest: string; readonly bytes: number }> {
    return this.#store.blobs.write(content, { maxBytes: this.limitBytes, tenant });
  }

  /** A file created by the daemon for the tenant, without limits; it exists once `write` is committed. */
  async made(
    tenant: string,
    file: NewFile,
    content: AsyncIterable<Uint8Array>,
  ): Promise<{ readonly id: string; readonly write: Write }> {
    const written = await this.#store.blobs.write(content, { maxBytes: Number.MAX_SAFE_INTEGER, tenant: null });
    return this.#prepared(tenant, file, written, true);
  }

  #prepared(
    tenant: string,
    { filename, purpose, expiresAfterS }: NewFile,
    content: Pick<StoredFile, "digest" | "bytes">,
    beyondLimits: boolean,
  ): { readonly id: string; readonly write: Write } {
    const id = `file-${randomBytes(16).toString("hex")}`;
    const expiresAt = expiresAfterS === null ? null : Date.now() + expiresAfterS * 1000;
    const options = { tenant, expiresAt, beyondLimits };
    return { id, write: this.#records.put(id, { filename, purpose, ...content }, options) };
  }

  async add(
    tenant: string,
    file: NewFile,
    content: Pick<StoredFile, "digest" | "bytes">,
  ): Promise<StoredRecord<StoredFile>> {
    const { id, write } = this.#prepared(tenant, file, content, false);
    await this.#store.commit([write]);
    return await this.get(tenant, id);
  }

  /** Rejects with `file_not_found`. */
  async get(tenant: string, id: string): Promise<StoredRecord<StoredFile>> {
    const record = /^file-[0-9a-f]{32}$/.test(id) ? await this.#records.get(id) : null;
    if (record?.tenant === tenant) return record;
    throw new AssistantError("file_not_found", `There is no file with the id "${id.slice(0, 100)}".`, {
      param: "file_id",
      remedy: "`GET /v1/files` lists yours.",
    });
  }

  async list(
    tenant: string,
    { purpose, order, limit, after }: FileQuery,
  ): Promise<{ readonly files: readonly StoredRecord<StoredFile>[]; readonly hasMore: boolean }> {
    const index =
      purpose === null ? { index: "tenant", equals: [tenant] } : { index: "purpose", equals: [tenant, purpose] };
    const from = after === null ? {} : { after: await this.get(tenant, after) };
    const { records, next } = await this.#records.list({ ...index, order, limit, ...from });
    return { files: records, hasMore: next !== null };
  }

  /** Rejects with `file_not_found`. */
  async content(tenant: string, id: string): Promise<{ readonly file: StoredFile; readonly content: BlobContent }> {
    const { value: file } = await this.get(tenant, id);
    const content = await this.#store.blobs.read(file.digest);
    if (content !== null) return { file, content };
    throw new AssistantError("internal", `The content of the file "${id}" is missing in the store.`);
  }

  /** The file as text; null: there is none, or it is not UTF-8. Rejects with `body_too_large` if it has more bytes. */
  async text(tenant: string, id: string, maxBytes: number): Promise<string | null> {
    const found = await this.content(tenant, id).catch((error: unknown) => {
      if (isAssistantError(error) && error.code === "file_not_found") return null;
      throw error;
    });
    if (found === null) return null;
    if (found.content.bytes > maxBytes) {
      found.content.stream.destroy();
      throw new AssistantError(
        "body_too_large",
        `The file "${id}" has ${found.content.bytes} bytes; at most ${maxBytes} are read as text.`,
        { param: "id" },
      );
    }
    const bytes = await buffer(found.content.stream);
    return isUtf8(bytes) ? bytes.toString() : null;
  }

  /** Rejects with `file_not_found`. */
  async delete(tenant: string, id: string): Promise<void> {
    await this.get(tenant, id);
    await this.#store.commit([this.#records.remove(id)]);
  }
}
