import { hash } from "node:crypto";
import type { UsageByDay, UsageDay, UsageReport, UsageRow } from "../api/usage.ts";
import type { Documents, DocumentType } from "../core/documents.ts";
import type { FinishedRequest } from "../core/request.ts";
import type { Collection, CollectionSpec, Store } from "../core/store.ts";

type Counts = { -readonly [Name in keyof UsageRow]: UsageRow[Name] };

/** One day of a tenant and model, or with `TOTAL` all days of them; with `SINCE`, and nothing counted, when counting began. */
type UsageRecord = UsageRow & { readonly day: string; readonly since?: number };
type Row = Counts & { readonly day: string };

const TOTAL = "total";
const SINCE = "since";
const DAY_MS = 86_400_000;
const DAYS_KEPT = 400;
const PAGE = 1_000;
const WRITES_AT_ONCE = 500;

const usageCollection: CollectionSpec<UsageRecord> = {
  name: "usage",
  indexes: { byDay: ["day"], ofTenant: ["@tenant", "day"] },
};

export interface UsageSources {
  readonly store: Store;
  /** Where earlier versions kept the totals; they are moved to the store. */
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

  private constructor(store: Store, since: number) {
    this.#store = store;
    this.#records = store.collection(usageCollection);
    this.#since = since;
  }

  /** Continues what was saved; counting starts again where that is missing or damaged. `now`: epoch milliseconds. Throws `data_newer`. */
  static async open({ store, documents }: UsageSources, now: number): Promise<UsageLedger> {
    const ledger = new UsageLedger(store, now);
    const [begun] = await ledger.#listed(SINCE);
    if (begun === undefined) await ledger.#takeOver(documents);
    else {
      ledger.#since = begun.since ?? now;
      for (const row of await ledger.#listed(TOTAL)) ledger.#totals.set(keyOf(row), { ...row });
      for (const row of await ledger.#listed(dayOf(now))) ledger.#days.set(keyOf(row), { ...row });
    }
    return ledger;
  }

  note(request: FinishedRequest, now: number = Date.now()): void {
    const { tenant, model, code, promptTokens, cachedTokens, completionTokens, characters, audioSeconds } = request;
    for (const [rows, day] of [
      [this.#totals, TOTAL],
      [this.#days, dayOf(now)],
    ] as const) {
      const row = rowOf(rows, { day, tenant, model: model ?? "" });
      row.requests += 1;
      if (code !== undefined) row.failed += 1;
      row.promptTokens += promptTokens ?? 0;
      row.cachedTokens += cachedTokens ?? 0;
      row.completionTokens += completionTokens ?? 0;
      if (characters !== undefined) row.characters = (row.characters ?? 0) + characters;
      if (audioSeconds !== undefined) row.audioSeconds = (row.audioSeconds ?? 0) + audioSeconds;
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

  /** By day, the newest first. `from`: the first day, `YYYY-MM-DD`; `tenant`: of it alone. */
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
    const rows = [...this.#dirty];
    if (rows.length === 0) return;
    this.#dirty.clear();
    const expiresAt = now + DAYS_KEPT * DAY_MS;
    const records: UsageRecord[] = [...rows.map((row) => ({ ...row })), this.#begun()];
    try {
      for (let start = 0; start < records.length; start += WRITES_AT_ONCE)
        await this.#store.commit(
          records.slice(start, start + WRITES_AT_ONCE).map((record) => {
            const isDay = record.day !== TOTAL && record.day !== SINCE;
            return this.#records.put(idOf(record), record, {
              tenant: record.tenant,
              expiresAt: isDay ? expiresAt : null,
            });
          }),
        );
    } catch (error) {
      for (const row of rows) this.#dirty.add(row);
      throw error;
    }
    for (const [id, row] of this.#days) if (row.day !== dayOf(now) && !this.#dirty.has(row)) this.#days.delete(id);
  }

  async #takeOver(documents: Documents): Promise<void> {
    const kept = await documents.read(DOCUMENT, usageDocument);
    if (kept === null) return;
    this.#since = kept.since;
    for (const row of kept.usage) this.#dirty.add(Object.assign(rowOf(this.#totals, { ...row, day: TOTAL }), row));
    await this.save();
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
