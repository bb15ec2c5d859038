import type { UsageReport, UsageRow } from "../api/usage.ts";
import type { Documents, DocumentType } from "../core/documents.ts";
import type { FinishedRequest } from "../core/request.ts";

type Counts = { -readonly [Name in keyof UsageRow]: UsageRow[Name] };

const NAME = "usage";

/** What each tenant has used of each model, since counting began. A crash loses what was not saved. */
export class UsageLedger {
  readonly #documents: Documents;
  #since: number;
  #dirty = false;
  readonly #rows = new Map<string, Map<string, Counts>>();

  private constructor(documents: Documents, since: number) {
    this.#documents = documents;
    this.#since = since;
  }

  /** Continues what was saved; counting starts again where that is missing or damaged. `now`: epoch milliseconds. Throws `data_newer`. */
  static async open(documents: Documents, now: number): Promise<UsageLedger> {
    const ledger = new UsageLedger(documents, now);
    const kept = await documents.read(NAME, usageDocument);
    if (kept === null) return ledger;
    ledger.#since = kept.since;
    for (const row of kept.usage) ledger.#modelsOf(row.tenant).set(row.model, { ...row });
    return ledger;
  }

  note(request: FinishedRequest): void {
    const { tenant, model, code, promptTokens, cachedTokens, completionTokens, characters, audioSeconds } = request;
    const row = this.#rowOf(tenant, model ?? "");
    row.requests += 1;
    if (code !== undefined) row.failed += 1;
    row.promptTokens += promptTokens ?? 0;
    row.cachedTokens += cachedTokens ?? 0;
    row.completionTokens += completionTokens ?? 0;
    if (characters !== undefined) row.characters = (row.characters ?? 0) + characters;
    if (audioSeconds !== undefined) row.audioSeconds = (row.audioSeconds ?? 0) + audioSeconds;
    this.#dirty = true;
  }

  report(): UsageReport {
    const usage = [...this.#rows.values()].flatMap((models) => [...models.values()].map((row) => ({ ...row })));
    usage.sort((a, b) => compare(a.tenant, b.tenant) || compare(a.model, b.model));
    return { since: this.#since, usage };
  }

  /** Saves what has changed since the last time. Rejects when it cannot be written; the next call tries again. */
  async save(): Promise<void> {
    if (!this.#dirty) return;
    this.#dirty = false;
    try {
      await this.#documents.write(NAME, usageDocument, this.report());
    } catch (error) {
      this.#dirty = true;
      throw error;
    }
  }

  #rowOf(tenant: string, model: string): Counts {
    const models = this.#modelsOf(tenant);
    const row = models.get(model) ?? {
      tenant,
      model,
      requests: 0,
      failed: 0,
      promptTokens: 0,
      cachedTokens: 0,
      completionTokens: 0,
    };
    models.set(model, row);
    return row;
  }

  #modelsOf(tenant: string): Map<string, Counts> {
    const models = this.#rows.get(tenant) ?? new Map<string, Counts>();
    this.#rows.set(tenant, models);
    return models;
  }
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
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
