import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { type Clock, systemClock } from "../../core/clock.ts";
import type { StoreSync } from "../../core/config.ts";
import type {
  Blobs,
  Collection,
  CollectionSpec,
  Commit,
  Holding,
  HoldingLimits,
  Store,
  Write,
} from "../../core/store.ts";
import { BlobFolder } from "../blobs.ts";
import { committed, type RecordBackend, RecordCollection } from "../records.ts";
import { Channel } from "./channel.ts";
import type { CollectionShape } from "./protocol.ts";

export interface SqliteStoreOptions {
  /** Gets the database and the contents of files; made with the first write. */
  readonly directory: string;
  /** Called with a sentence for people when a damaged database is found and set aside. */
  readonly report: (problem: string) => void;
  /** A daemon may use the directory too: a damaged database is an error, and stays where it is. Default: no. */
  readonly guest?: boolean;
  /** When writes reach the disk. Default: before they are acknowledged. */
  readonly sync?: StoreSync;
  readonly clock?: Pick<Clock, "now">;
}

const DATABASE = "records.db";
const REMOVED_AT_ONCE = 500;
/** What others ask for waits for one such part. */
const EXPIRED_AT_ONCE = 50;
/**
 * After each part, as many times as long as it took: a day's tasks that expire together do not keep the thread busy.
 */
const REST_AFTER_EXPIRING = 3;

/** The embedded store: SQLite in a thread, and files. Before the first write there are neither thread nor files. */
export class SqliteStore implements Store {
  readonly isShared = false as const;
  readonly location: string;
  readonly blobs: Blobs;
  readonly #directory: string;
  readonly #channel: Channel;
  readonly #clock: Pick<Clock, "now">;
  readonly #folder: BlobFolder;
  readonly #collections = new Map<string, { readonly shape: CollectionShape; isDefined: boolean }>();
  readonly #backend: RecordBackend = {
    commit: (writes) => this.commit(writes),
    get: async (collection, id) => {
      if (!this.exists) return null;
      this.#define(collection);
      return await this.#channel.call("get", { collection, id });
    },
    list: async (query) => {
      if (!this.exists) return { records: [], more: false };
      this.#define(query.collection);
      return await this.#channel.call("list", { query });
    },
    count: async (query) => {
      if (!this.exists) return 0;
      this.#define(query.collection);
      return await this.#channel.call("count", { query });
    },
  };
  #exists = false;

  constructor({ directory, report, guest = false, sync = "always", clock = systemClock }: SqliteStoreOptions) {
    this.#directory = directory;
    this.location = join(directory, DATABASE);
    this.#clock = clock;
    this.#channel = new Channel({ file: this.location, guest, sync }, clock, report);
    this.#folder = new BlobFolder(join(directory, "blobs"));
    this.blobs = this.#folder;
  }

  /** Damaged databases that were set aside and are still here. */
  get problems(): readonly string[] {
    return (existsSync(this.#directory) ? readdirSync(this.#directory) : [])
      .filter((name) => name.startsWith(`${DATABASE}.damaged-`) && !/-(wal|shm)$/.test(name))
      .map(
        (name) =>
          `The store was damaged and set aside as ${join(this.#directory, name)}: restore a backup with \`assistant store restore\`, or move the file away.`,
      );
  }

  /** Whether anything was ever written. */
  get exists(): boolean {
    this.#exists ||= existsSync(this.location);
    return this.#exists;
  }

  collection<T extends object>(spec: CollectionSpec<T>): Collection<T> {
    const { name, indexes, blob, held, blobBytes } = spec;
    const shape = {
      ...{ name, indexes },
      ...(blob === undefined ? {} : { blob }),
      ...(held === undefined ? {} : { held }),
      ...(blobBytes === undefined ? {} : { blobBytes }),
    };
    this.#collections.set(name, { shape, isDefined: false });
    return new RecordCollection(spec, this.#backend);
  }

  watch(): Disposable {
    return { [Symbol.dispose]: () => {} };
  }

  async commit(writes: readonly Write[], limits: HoldingLimits = {}): Promise<Commit> {
    for (const { collection } of writes) this.#define(collection);
    return committed(await this.#channel.call("commit", { writes, limits }));
  }

  async heldBy(tenant: string): Promise<Holding> {
    return this.exists ? await this.#channel.call("heldBy", { tenant }) : { records: 0, bytes: 0 };
  }

  async requireRoom(): Promise<void> {}

  async hasRecordsOf(tenant: string, { except }: { readonly except: readonly string[] }): Promise<boolean> {
    return this.exists && (await this.#channel.call("hasRecordsOf", { tenant, except }));
  }

  async removeRecordsOf(tenant: string, { except }: { readonly except: readonly string[] }): Promise<void> {
    if (!this.exists) return;
    for (let removed = REMOVED_AT_ONCE; removed === REMOVED_AT_ONCE; )
      removed = await this.#channel.call("removeRecordsOf", { tenant, except, limit: REMOVED_AT_ONCE });
  }

  async sweep(): Promise<{ records: number; blobs: number }> {
    if (!this.exists) return { records: 0, blobs: 0 };
    const records = await this.#expireAll();
    const unreferenced = (digests: readonly string[]): Promise<string[]> =>
      this.#channel.call("unreferenced", { digests });
    return { records, blobs: await this.#folder.sweep(unreferenced, this.#clock.now()) };
  }

  /** Problems found by SQLite in the database; empty: none. Reads all of it. */
  async check(): Promise<string[]> {
    return this.exists ? await this.#channel.call("check", {}) : [];
  }

  /** Writes a whole and compact copy of the database to a file that does not exist yet. Others may write meanwhile. */
  async copyTo(file: string): Promise<void> {
    await this.#channel.call("backup", { file });
  }

  close(): Promise<void> {
    return this.#channel.close();
  }

  async #expireAll(): Promise<number> {
    for (let all = 0; ; ) {
      const beganAt = performance.now();
      const removed = await this.#channel.call("expire", { limit: EXPIRED_AT_ONCE });
      all += removed;
      if (removed < EXPIRED_AT_ONCE) return all;
      await setTimeout((performance.now() - beganAt) * REST_AFTER_EXPIRING);
    }
  }

  /** Goes ahead of the first call for the collection, in the same batch. */
  #define(name: string): void {
    const known = this.#collections.get(name);
    if (known === undefined || known.isDefined) return;
    known.isDefined = true;
    this.#channel.call("define", { shape: known.shape }).catch(() => {
      // The call behind it fails too; the next one tries again.
      known.isDefined = false;
    });
  }
}
