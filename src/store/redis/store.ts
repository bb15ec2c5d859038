import { type Clock, systemClock } from "../../core/clock.ts";
import { AssistantError } from "../../core/errors.ts";
import type {
  Blobs,
  Collection,
  CollectionSpec,
  Commit,
  FieldValue,
  Holding,
  HoldingLimits,
  Store,
  Write,
} from "../../core/store.ts";
import {
  committed,
  indexedFields,
  type RawListQuery,
  type RawQuery,
  type RawRecord,
  RecordCollection,
} from "../records.ts";
import { RedisBlobs } from "./blobs.ts";
import { KEY_PREFIX, type RedisCommands, RedisConnection } from "./connection.ts";
import { durabilityProblems } from "./durability.ts";
import { lexRange, valuesText } from "./ordering.ts";
import { scripts } from "./scripts.ts";

/** Of the keys; a newer one is refused. */
const FORMAT = 1;
const MAX_PAGE_BYTES = 4 * 2 ** 20;
const EXPIRED_AT_ONCE = 500;
const INDEXED_AT_ONCE = 200;
/** A blob is named by a record within this time after it was written. */
const UNNAMED_FOR_MS = 10 * 60_000;
const SHAPES = `${KEY_PREFIX}shapes`;
/** Index of all records, in the order of making, and that of the field with a blob's digest. */
const ALL = "@all";
const BLOB = "@blob";

interface Shape {
  /** Fields of each index. */
  readonly indexes: Readonly<Record<string, readonly string[]>>;
}

interface Known extends Shape {
  /** In the order of a write's `fields`. */
  readonly fields: readonly string[];
  /** Names of indexes, by their fields. */
  readonly names: ReadonlyMap<string, string>;
  defined: Promise<void> | null;
}

export interface RedisStoreOptions {
  readonly url: string;
  /**
   * Called with a sentence for people: what is wrong with the server's settings, and when the connection is lost or
   * back.
   */
  readonly report: (problem: string) => void;
  /** False: calls fail until the server can be reached. Default: it must be available now. */
  readonly isRequired?: boolean;
  readonly clock?: Pick<Clock, "now">;
}

/**
 * The store of daemons that form a cluster, in Redis or Valkey. Every call is one script, so that a commit is whole and
 * each read sees one state.
 */
export class RedisStore implements Store {
  readonly isShared = true as const;
  readonly location: string;
  readonly blobs: Blobs;
  readonly connection: RedisConnection;
  readonly #clock: Pick<Clock, "now">;
  readonly #settingsProblems: readonly string[];
  readonly #collections = new Map<string, Known>();

  private constructor(connection: RedisConnection, clock: Pick<Clock, "now">, problems: readonly string[]) {
    this.connection = connection;
    this.location = connection.location;
    this.#clock = clock;
    this.#settingsProblems = problems;
    this.blobs = new RedisBlobs(connection, () => clock.now());
  }

  /** Throws `store_unavailable`, or `data_newer` where a newer version has written there. */
  static async open({ url, report, isRequired = true, clock = systemClock }: RedisStoreOptions): Promise<RedisStore> {
    const problems: string[] = [];
    const prepare = async (server: RedisCommands): Promise<void> => {
      await requireFormat(server);
      problems.splice(0, problems.length, ...(await durabilityProblems(server)));
      problems.forEach(report);
    };
    const connection = await RedisConnection.open({ url, report, prepare, isRequired });
    return new RedisStore(connection, clock, problems);
  }

  get problems(): readonly string[] {
    const { problem } = this.connection;
    return [...this.#settingsProblems, ...(problem === null ? [] : [problem])];
  }

  collection<T extends object>(spec: CollectionSpec<T>): Collection<T> {
    const { name, blob } = spec;
    if (!/^[a-z][a-z0-9_]{0,39}$/.test(name)) throw new TypeError(`${name} is no name for a collection.`);
    const indexes: Record<string, readonly string[]> = { ...spec.indexes };
    if (blob !== undefined) indexes[BLOB] = [blob];
    const names = new Map(Object.entries(indexes).map(([index, fields]) => [fields.join(","), index]));
    const fields = indexedFields(spec as CollectionSpec<never>);
    this.#collections.set(name, { indexes, fields, names, defined: null });
    return new RecordCollection(spec, {
      commit: (writes) => this.commit(writes),
      get: (collection, id) => this.#get(collection, id),
      list: (query) => this.#list(query),
      count: (query) => this.#count(query),
    });
  }

  watch(collection: string, changed: (ids: readonly string[] | null) => void): Disposable {
    return this.connection.subscribe(this.connection.channel(`changes:${collection}`), (message) => {
      const [sender, ...ids] = message === null ? [] : (JSON.parse(message) as string[]);
      if (sender !== this.connection.id) changed(message === null ? null : ids);
    });
  }

  async commit(writes: readonly Write[], limits: HoldingLimits = {}): Promise<Commit> {
    const { id, channel } = { id: this.connection.id, channel: this.connection.channel("changes:") };
    for (const { collection } of writes) await this.#defined(collection);
    const limited = Object.entries(limits);
    const args: (string | number)[] = [this.#clock.now(), id, channel, limited.length];
    for (const [tenant, { records, bytes }] of limited) args.push(tenant, records, bytes);
    for (const write of writes) {
      args.push(write.op, write.collection, write.id, write.expect ?? "");
      if (write.op !== "put") continue;
      const indexes = this.#indexesOf(write);
      const { expiresAt, heldBytes } = write;
      args.push(write.tenant, write.json, expiresAt ?? 0, heldBytes, indexes.length / 2, ...indexes);
    }
    const [done, ...rest] = (await this.connection.run(scripts.commit, args)) as [number, ...number[]];
    if (done === 1) return { ok: true, revisions: rest };
    const [at = 0, records = 0, bytes = 0] = rest;
    if (done === 0) return { ok: false, failed: at };
    const [tenant, limit] = limited[at] as [string, Holding];
    return committed({ ok: false, exceeded: { tenant, limit, held: { records, bytes } } });
  }

  async heldBy(tenant: string): Promise<Holding> {
    const held = (await this.connection.command(
      "HMGET",
      `${KEY_PREFIX}held:${tenant}`,
      "records",
      "bytes",
    )) as unknown[];
    return { records: Number(held[0] ?? 0), bytes: Number(held[1] ?? 0) };
  }

  async requireRoom(): Promise<void> {}

  async hasRecordsOf(tenant: string, { except }: { readonly except: readonly string[] }): Promise<boolean> {
    return await this.#eachPartOf(tenant, except, false);
  }

  async removeRecordsOf(tenant: string, { except }: { readonly except: readonly string[] }): Promise<void> {
    await this.#eachPartOf(tenant, except, true);
  }

  async sweep(): Promise<{ records: number; blobs: number }> {
    const now = this.#clock.now();
    let records = 0;
    for (let removed = EXPIRED_AT_ONCE; removed === EXPIRED_AT_ONCE; records += removed)
      removed = Number(await this.connection.run(scripts.expire, [now, EXPIRED_AT_ONCE]));
    return { records, blobs: await this.#sweepBlobs(now - UNNAMED_FOR_MS) };
  }

  /** Problems of the server, as far as they can be detected from here. */
  async check(): Promise<string[]> {
    await this.connection.command("PING");
    return await durabilityProblems(this.connection);
  }

  close(): Promise<void> {
    return this.connection.close();
  }

  async #get(collection: string, id: string): Promise<RawRecord | null> {
    await this.#defined(collection);
    const found = await this.connection.run(scripts.get, [this.#clock.now(), collection, id]);
    return found === null ? null : recordOf(found as Row);
  }

  async #list(query: RawListQuery): Promise<{ records: RawRecord[]; more: boolean }> {
    await this.#defined(query.collection);
    const { min, max } = lexRange(query);
    const { collection, fields, descending, limit } = query;
    const index = this.#indexOf(query);
    const now = this.#clock.now();
    const args = [now, collection, index, fields.length, min, max, descending ? 1 : 0, limit, MAX_PAGE_BYTES];
    const [more, ...rows] = (await this.connection.run(scripts.list, args)) as [number, ...Row[]];
    return { records: rows.map(recordOf), more: more === 1 };
  }

  async #count(query: RawQuery): Promise<number> {
    await this.#defined(query.collection);
    const { min, max } = lexRange(query);
    const args = [query.collection, this.#indexOf(query), min, max];
    for (;;) {
      const count = Number(await this.connection.run(scripts.count, [this.#clock.now(), ...args]));
      if (count >= 0) return count;
    }
  }

  async #eachPartOf(tenant: string, except: readonly string[], isRemoved: boolean): Promise<boolean> {
    const now = this.#clock.now();
    const names = (await this.connection.command("HKEYS", SHAPES)) as string[];
    for (const name of names) {
      if (except.includes(name)) continue;
      let after = "";
      do {
        const args = [now, name, tenant, after, isRemoved ? 1 : 0];
        const [found, next] = (await this.connection.run(scripts.ofTenant, args)) as [number, string];
        if (found > 0 && !isRemoved) return true;
        after = next;
      } while (after !== "");
    }
    return false;
  }

  async #sweepBlobs(before: number): Promise<number> {
    const shapes = (await this.connection.command("HGETALL", SHAPES)) as unknown;
    const holders = pairsOf(shapes).flatMap(([name, json]) =>
      BLOB in (JSON.parse(json) as Shape).indexes ? [name] : [],
    );
    let passed = 0;
    let all = 0;
    for (;;) {
      const args = [before, passed, ...holders];
      const [removed, kept] = (await this.connection.run(scripts.sweepBlobs, args)) as [number, number];
      all += removed;
      passed += kept;
      if (removed + kept < EXPIRED_AT_ONCE) return all;
    }
  }

  #known(collection: string): Known {
    const known = this.#collections.get(collection);
    if (known === undefined) throw new TypeError(`The collection ${collection} is not defined.`);
    return known;
  }

  #indexOf({ collection, fields }: RawQuery): string {
    return fields.length === 0 ? ALL : (this.#known(collection).names.get(fields.join(",")) ?? ALL);
  }

  /** Pairs of an index and what the record's members in it begin with. It is in none that it lacks a field of. */
  #indexesOf({ collection, tenant, fields }: Write & { readonly op: "put" }): string[] {
    const { indexes, fields: names } = this.#known(collection);
    const values = new Map<string, FieldValue | null>(names.map((name, index) => [name, fields[index] ?? null]));
    values.set("@tenant", tenant);
    return Object.entries(indexes).flatMap(([index, of]) => {
      const found = of.map((field) => values.get(field) ?? null);
      return found.includes(null) ? [] : [index, valuesText(found as FieldValue[])];
    });
  }

  /** Makes the collection's shape known to all, and brings records that were there before into indexes that are new. */
  async #defined(collection: string): Promise<void> {
    const known = this.#known(collection);
    known.defined ??= this.#define(collection, known);
    try {
      await known.defined;
    } catch (error) {
      known.defined = null;
      throw error;
    }
  }

  async #define(collection: string, { indexes }: Known): Promise<void> {
    const json = (await this.connection.command("HGET", SHAPES, collection)) as string | null;
    const before = json === null ? {} : (JSON.parse(json) as Shape).indexes;
    if (json !== null) {
      for (const [index, fields] of Object.entries(indexes))
        if (!(index in before)) await this.#addToIndex(collection, index, fields);
    }
    const shape = JSON.stringify({ indexes: { ...before, ...indexes } } satisfies Shape);
    if (shape !== json) await this.connection.command("HSET", SHAPES, collection, shape);
  }

  async #addToIndex(collection: string, index: string, fields: readonly string[]): Promise<void> {
    const { max } = lexRange({ equals: [], from: null, below: null });
    let { min } = lexRange({ equals: [], from: null, below: null });
    const now = this.#clock.now();
    for (;;) {
      const args = [now, collection, ALL, 0, min, max, 0, INDEXED_AT_ONCE, MAX_PAGE_BYTES];
      const [more, ...rows] = (await this.connection.run(scripts.list, args)) as [number, ...Row[]];
      const added = rows.map(recordOf).flatMap(({ id, tenant, revision, json }) => {
        const value = JSON.parse(json) as Readonly<Record<string, FieldValue | boolean | null | undefined>>;
        const found = fields.map((field) => (field === "@tenant" ? tenant : (value[field] ?? null)));
        if (found.includes(null)) return [];
        return [id, revision, valuesText(found.map((one) => (typeof one === "boolean" ? Number(one) : (one ?? 0))))];
      });
      if (added.length > 0) await this.connection.run(scripts.addToIndex, [collection, index, ...added]);
      const last = rows.at(-1);
      if (more === 0 || last === undefined) return;
      min = lexRange({ equals: [], from: null, below: null, after: [recordOf(last).position] }).min;
    }
  }
}

async function requireFormat(connection: RedisCommands): Promise<void> {
  const key = `${KEY_PREFIX}format`;
  await connection.command("SET", key, FORMAT, "NX");
  const format = Number(await connection.command("GET", key));
  if (format <= FORMAT) return;
  throw new AssistantError(
    "data_newer",
    `The records at ${connection.location} have format ${format}; this version reads formats up to ${FORMAT}.`,
    { remedy: "Update Assistant, or use another database of the server." },
  );
}

type Row = readonly [string, string, number, number, number, number, number, string];

const recordOf = ([id, tenant, revision, position, createdAt, updatedAt, expiresAt, json]: Row): RawRecord => ({
  id,
  tenant,
  revision,
  position,
  createdAt,
  updatedAt,
  expiresAt: expiresAt === 0 ? null : expiresAt,
  json,
});

/** Of HGETALL, in either protocol. */
function pairsOf(answer: unknown): [string, string][] {
  if (!Array.isArray(answer)) return Object.entries(answer as Record<string, string>);
  return answer.flatMap((name, at): [string, string][] =>
    at % 2 === 0 ? [[String(name), String(answer[at + 1])]] : [],
  );
}
