import { hash } from "node:crypto";
import type { UsageByDay, UsageDay, UsageReport, UsageRow } from "../api/usage.ts";
import type { Documents, DocumentType } from "../core/documents.ts";
import { isAssistantError } from "../core/errors.ts";
import type { Mutable } from "../core/mutable.ts";
import type { FinishedRequest } from "../core/request.ts";
import type { Collection, CollectionSpec, Store } from "../core/store.ts";

type Counts = Mutable<UsageRow>;

/**
 * One day of a tenant and model, or with `TOTAL` all days of them; with `SINCE`, and nothing counted, when counting
 * began.
 */
type UsageRecord = UsageRow & { readonly day: string; readonly since?: number };
type Row = Counts & { readonly day: string };

const TOTAL = "total";
const SINCE = "since";
const DAY_MS = 86_400_000;
const DAYS_KEPT = 400;
const PAGE = 1_000;
const WRITES_AT_ONCE = 500;

export const usageCollection: CollectionSpec<UsageRecord> = {
  name: "usage",
  indexes: { byDay: ["day"], ofTenant: ["@tenant", "day"] },
};

export interface UsageSources {
  readonly store: Store;
  /** Where earlier versions stored the totals; they are moved to the store. */
  readonly documents: Documents;
}

/** What each tenant has used of each model, by day and since counting began. A crash loses what was not saved. */
export class UsageLedger {
  readonly #store: Store;
  readonly #records: Collection<UsageRecord>;
  #since: number;
  readonly #totals = new Map<string, Row>();
  /** Of the days that are not over, or not saved. */
  readonly #days = new Map<string, Row>();
  readonly #dirty = new Set<Row>();
  /** What was in the store when a row was read or saved last. Another daemon may have counted more there since. */
  readonly #saved = new WeakMap<Row, Readonly<Row>>();

  readonly #documents: Documents;
  #isLoaded = false;

  private constructor({ store, documents }: UsageSources, since: number) {
    this.#store = store;
    this.#documents = documents;
    this.#records = store.collection(usageCollection);
    this.#since = since;
  }

  /**
   * Continues what was saved; counting starts again where that is missing or damaged. What cannot be reached now is
   * added to what is counted meanwhile, before that is saved. `now`: epoch milliseconds. Throws `data_newer`.
   */
  static async open(sources: UsageSources, now: number): Promise<UsageLedger> {
    const ledger = new UsageLedger(sources, now);
    await ledger.load(now).catch((error: unknown) => {
      if (!sources.store.isShared || !isAssistantError(error) || error.code !== "store_unavailable") throw error;
    });
    return ledger;
  }

  /** Reads what was saved, unless that has been done. */
  async load(now: number = Date.now()): Promise<void> {
    if (this.#isLoaded) return;
    const [begun] = await this.#listed(SINCE);
    if (begun === undefined) await this.#takeOver(this.#documents);
    else {
      const [totals, today] = [await this.#listed(TOTAL), await this.#listed(dayOf(now))];
      if (this.#isLoaded) return;
      this.#since = begun.since ?? now;
      for (const row of totals) this.#take(this.#totals, row);
      for (const row of today) this.#take(this.#days, row);
    }
    this.#isLoaded = true;
  }

  /** Adds requests of one tenant and model that all failed, or all did not. */
  note(alike: readonly [FinishedRequest, ...FinishedRequest[]], now: number = Date.now()): void {
    const [{ tenant, model, code }] = alike;
    for (const [rows, day] of [
      [this.#totals, TOTAL],
      [this.#days, dayOf(now)],
    ] as const) {
      const row = rowOf(rows, { day, tenant, model: model ?? "" });
      row.requests += alike.length;
      if (code !== undefined) row.failed += alike.length;
      for (const { promptTokens, cachedTokens, completionTokens, characters, audioSeconds } of alike) {
        row.promptTokens += promptTokens ?? 0;
        row.cachedTokens += cachedTokens ?? 0;
        row.completionTokens += completionTokens ?? 0;
        if (characters !== undefined) row.characters = (row.characters ?? 0) + characters;
        if (audioSeconds !== undefined) row.audioSeconds = (row.audioSeconds ?? 0) + audioSeconds;
      }
      this.#dirty.add(row);
    }
  }

  report(): UsageReport {
    const usage = [...this.#totals.values()].map(({ day: _, ...row }): UsageRow => row);
    usage.sort((a, b) => compare(a.tenant, b.tenant) || compare(a.model, b.model));
    return { since: this.#since, usage };
  }

  /** Requests and tokens of a tenant on the day of `now`. */
  ofToday(tenant: string, now: number): { readonly requests: number; readonly tokens: number } {
    const day = dayOf(now);
    const rows = [...this.#days.values()].filter((row) => row.day === day && row.tenant === tenant);
    return {
      requests: rows.reduce((sum, row) => sum + row.requests, 0),
      tokens: rows.reduce((sum, row) => sum + row.promptTokens + row.completionTokens, 0),
    };
  }

  /** By day, the newest first. `from`: the first day, `YYYY-MM-DD`; `tenant`: only this one. */
  async byDay({ from, tenant }: { readonly from: string; readonly tenant?: string }): Promise<UsageByDay> {
    await this.save();
    const days: UsageDay[] = [];
    const query =
      tenant === undefined
        ? { index: "byDay", from, below: TOTAL_AND_AFTER }
        : { index: "ofTenant", equals: [tenant], from, below: TOTAL_AND_AFTER };
    for (let after: string | null | undefined; after !== null; ) {
      const page = await this.#records.list({ ...query, order: "desc", limit: PAGE, ...(after ? { after } : {}) });
      days.push(...page.records.map(({ value }) => value));
      after = page.next;
    }
    days.sort((a, b) => compare(b.day, a.day) || compare(a.tenant, b.tenant) || compare(a.model, b.model));
    return { days };
  }

  /** Saves what has changed since the last time. Rejects when it cannot be written; the next call tries again. */
  async save(now: number = Date.now()): Promise<void> {
    if (this.#dirty.size === 0) return;
    await this.load(now);
    const rows = [...this.#dirty];
    this.#dirty.clear();
    const expiresAt = now + DAYS_KEPT * DAY_MS;
    try {
      await this.#store.commit([this.#records.put(idOf(this.#begun()), this.#begun(), { tenant: "" })]);
      for (let start = 0; start < rows.length; start += WRITES_AT_ONCE)
        await this.#saveRows(rows.slice(start, start + WRITES_AT_ONCE), expiresAt);
    } catch (error) {
      for (const row of rows) this.#dirty.add(row);
      throw error;
    }
    for (const [id, row] of this.#days) if (row.day !== dayOf(now) && !this.#dirty.has(row)) this.#days.delete(id);
  }

  /** Adds to the store's records what was counted here since the rows were saved last. */
  async #saveRows(rows: readonly Row[], expiresAt: number): Promise<void> {
    for (;;) {
      const stored = await Promise.all(rows.map((row) => this.#records.get(idOf(row))));
      const counted = rows.map((row, index) => {
        const before = stored[index]?.value;
        const base = this.#saved.get(row) ?? empty(row);
        return { row, seen: { ...row }, sum: before === undefined ? { ...row } : plus(before, minus(row, base)) };
      });
      const { ok } = await this.#store.commit(
        counted.map(({ sum }, index) =>
          this.#records.put(idOf(sum), sum, {
            tenant: sum.tenant,
            expiresAt: sum.day === TOTAL ? null : expiresAt,
            expect: stored[index]?.revision ?? 0,
          }),
        ),
      );
      // Another daemon saved one of them meanwhile.
      if (!ok) continue;
      for (const { row, seen, sum } of counted) {
        // What came in while it was written is counted on top.
        Object.assign(row, plus(sum, minus(row, seen)));
        this.#saved.set(row, sum);
      }
      return;
    }
  }

  #take(rows: Map<string, Row>, { since: _, ...record }: UsageRecord): void {
    const row = rowOf(rows, record);
    // With what was counted before it could be read.
    Object.assign(row, plus(record, row));
    this.#saved.set(row, record);
  }

  async #takeOver(documents: Documents): Promise<void> {
    const kept = await documents.read(DOCUMENT, usageDocument);
    if (kept === null) return;
    this.#since = kept.since;
    for (const row of kept.usage) this.#take(this.#totals, { ...row, day: TOTAL });
    const writes = [...this.#totals.values()].map((row) => this.#records.put(idOf(row), row, { tenant: row.tenant }));
    for (let start = 0; start < writes.length; start += WRITES_AT_ONCE)
      await this.#store.commit(writes.slice(start, start + WRITES_AT_ONCE));
    // Even of no requests: counting began then.
    await this.#store.commit([this.#records.put(idOf(this.#begun()), this.#begun(), { tenant: "" })]);
    await documents.remove(DOCUMENT, usageDocument);
  }

  #begun(): UsageRecord {
    return { ...empty({ day: SINCE, tenant: "", model: "" }), since: this.#since };
  }

  async #listed(day: string): Promise<UsageRecord[]> {
    const found: UsageRecord[] = [];
    for (let after: string | null | undefined; after !== null; ) {
      const page = await this.#records.list({
        index: "byDay",
        equals: [day],
        limit: PAGE,
        ...(after ? { after } : {}),
      });
      found.push(...page.records.map(({ value }) => value));
      after = page.next;
    }
    return found;
  }
}

/** Days begin with a digit, `since` and `total` with a letter. */
const TOTAL_AND_AFTER = "a";

const dayOf = (now: number): string => new Date(now).toISOString().slice(0, 10);
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

type Place = Pick<UsageRecord, "day" | "tenant" | "model">;
const keyOf = ({ day, tenant, model }: Place): string => JSON.stringify([day, tenant, model]);
/** Names of models may be longer than an id. */
const idOf = (place: Place): string => hash("sha256", keyOf(place), "hex");
const empty = ({ day, tenant, model }: Place): Row => ({
  ...{ day, tenant, model },
  ...{ requests: 0, failed: 0, promptTokens: 0, cachedTokens: 0, completionTokens: 0 },
});

/** The counts of the second row added to those of the first, or taken from them. */
const added = (row: Row, other: Row, sign: 1 | -1): Row => {
  const sum = (one = 0, two = 0): number => one + sign * two;
  const { day, tenant, model } = row;
  const characters = row.characters ?? other.characters;
  const audioSeconds = row.audioSeconds ?? other.audioSeconds;
  return {
    ...{ day, tenant, model },
    requests: sum(row.requests, other.requests),
    failed: sum(row.failed, other.failed),
    promptTokens: sum(row.promptTokens, other.promptTokens),
    cachedTokens: sum(row.cachedTokens, other.cachedTokens),
    completionTokens: sum(row.completionTokens, other.completionTokens),
    ...(characters === undefined ? {} : { characters: sum(row.characters, other.characters) }),
    ...(audioSeconds === undefined ? {} : { audioSeconds: sum(row.audioSeconds, other.audioSeconds) }),
  };
};
const plus = (row: Row, other: Row): Row => added(row, other, 1);
const minus = (row: Row, other: Row): Row => added(row, other, -1);

function rowOf(rows: Map<string, Row>, place: Place): Row {
  const key = keyOf(place);
  let row = rows.get(key);
  if (row === undefined) {
    row = empty(place);
    rows.set(key, row);
  }
  return row;
}

const DOCUMENT = "usage";
const NUMBERS = ["requests", "failed", "promptTokens", "cachedTokens", "completionTokens"] as const;

const usageDocument: DocumentType<UsageReport> = {
  title: "usage of API keys",
  schema: 1,
  durable: true,
  parse(value) {
    const { since, usage } = (value ?? {}) as Partial<UsageReport>;
    if (typeof since !== "number" || !Array.isArray(usage)) return null;
    return usage.every(isRow) ? { since, usage } : null;
  },
};

const isRow = (row: Partial<UsageRow> | null): boolean =>
  typeof row?.tenant === "string" &&
  typeof row.model === "string" &&
  NUMBERS.every((name) => Number.isFinite(row[name])) &&
  [row.characters, row.audioSeconds].every((count) => count === undefined || Number.isFinite(count));
