import type {
  Blob,
  Blobs,
  Collection,
  CollectionSpec,
  Commit,
  Holding,
  HoldingLimits,
  Store,
  Write,
} from "../core/store.ts";
import type { DiskFloor } from "./disk-floor.ts";
import { quotaExceeded } from "./records.ts";

export interface LimitedStoreOptions {
  /** Null: the tenant may have what the disk holds. */
  readonly limitOf: (tenant: string) => Holding | null;
  /** Null: where the records are is no disk of this machine. */
  readonly disk: DiskFloor | null;
}

/** Looked at again while a content comes. */
const CHECKED_EVERY_BYTES = 16 * 2 ** 20;

/**
 * A store with a limit per tenant and a minimum of free disk space. Only new records are refused: accepted work is
 * completed, and everything can be deleted.
 */
export class LimitedStore implements Store {
  readonly blobs: Blobs;
  readonly #store: Store;
  readonly #options: LimitedStoreOptions;
  /** Bytes of contents that come at the moment, by tenant. */
  readonly #coming = new Map<string, number>();

  constructor(store: Store, options: LimitedStoreOptions) {
    this.#store = store;
    this.#options = options;
    this.blobs = {
      read: (digest, range) => store.blobs.read(digest, range),
      write: (source, limits) => this.#write(source, limits),
    };
  }

  get location(): string {
    return this.#store.location;
  }
  get problems(): readonly string[] {
    return this.#store.problems;
  }
  get isShared(): boolean {
    return this.#store.isShared;
  }
  watch(collection: string, changed: (ids: readonly string[] | null) => void): Disposable {
    return this.#store.watch(collection, changed);
  }
  collection<T extends object>(spec: CollectionSpec<T>): Collection<T> {
    return this.#store.collection(spec);
  }

  async commit(writes: readonly Write[]): Promise<Commit> {
    const limits: Record<string, Holding> = {};
    let isLimited = false;
    for (const write of writes) {
      if (write.op !== "put" || !write.isLimited) continue;
      isLimited = true;
      const limit = this.#options.limitOf(write.tenant);
      if (limit !== null) limits[write.tenant] = limit;
    }
    if (isLimited) await this.#options.disk?.require();
    return await this.#store.commit(writes, limits satisfies HoldingLimits);
  }

  heldBy(tenant: string): Promise<Holding> {
    return this.#store.heldBy(tenant);
  }

  async requireRoom(tenant: string): Promise<void> {
    await this.#options.disk?.require();
    const limit = this.#options.limitOf(tenant);
    if (limit === null) return;
    const held = await this.#store.heldBy(tenant);
    if (held.records >= limit.records || held.bytes >= limit.bytes) throw quotaExceeded({ tenant, held, limit });
  }

  hasRecordsOf(tenant: string, options: { readonly except: readonly string[] }): Promise<boolean> {
    return this.#store.hasRecordsOf(tenant, options);
  }
  removeRecordsOf(tenant: string, options: { readonly except: readonly string[] }): Promise<void> {
    return this.#store.removeRecordsOf(tenant, options);
  }
  sweep(): Promise<{ readonly records: number; readonly blobs: number }> {
    return this.#store.sweep();
  }
  close(): Promise<void> {
    return this.#store.close();
  }

  async #write(source: AsyncIterable<Uint8Array>, limits: Parameters<Blobs["write"]>[1]): Promise<Blob> {
    const { tenant } = limits;
    if (tenant === null) return await this.#store.blobs.write(source, limits);
    await this.requireRoom(tenant);
    let bytes = 0;
    const counted = this.#counted(tenant, source, (length) => {
      bytes += length;
    });
    try {
      return await this.#store.blobs.write(counted, limits);
    } finally {
      const others = (this.#coming.get(tenant) ?? 0) - bytes;
      if (others > 0) this.#coming.set(tenant, others);
      else this.#coming.delete(tenant);
    }
  }

  /**
   * The content, until it is more than the tenant has room for: else a key could fill the disk with what is refused in
   * the end.
   */
  async *#counted(
    tenant: string,
    source: AsyncIterable<Uint8Array>,
    count: (bytes: number) => void,
  ): AsyncGenerator<Uint8Array> {
    const limit = this.#options.limitOf(tenant);
    const held = await this.#store.heldBy(tenant);
    let unchecked = 0;
    for await (const chunk of source) {
      count(chunk.length);
      const coming = (this.#coming.get(tenant) ?? 0) + chunk.length;
      this.#coming.set(tenant, coming);
      if (limit !== null && held.bytes + coming > limit.bytes) throw quotaExceeded({ tenant, held, limit });
      unchecked += chunk.length;
      if (unchecked > CHECKED_EVERY_BYTES) {
        unchecked = 0;
        await this.#options.disk?.require();
      }
      yield chunk;
    }
  }
}
