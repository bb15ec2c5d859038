import { readFile } from "node:fs/promises";
import writeFileAtomic from "write-file-atomic";
import type { UsageReport, UsageRow } from "../api/usage.ts";
import type { FinishedRequest } from "../core/request.ts";

type Counts = { -readonly [Name in keyof UsageRow]: UsageRow[Name] };

/** What each tenant has used of each model, since the file that holds it began. A crash loses what was not saved. */
export class UsageLedger {
  readonly #file: string;
  #since: number;
  #dirty = false;
  readonly #rows = new Map<string, Map<string, Counts>>();

  private constructor(file: string, since: number) {
    this.#file = file;
    this.#since = since;
  }

  /** Takes up what the file says; a missing or damaged one begins anew. `now`: epoch milliseconds. */
  static async open(file: string, now: number): Promise<UsageLedger> {
    const ledger = new UsageLedger(file, now);
    const text = await readFile(file, "utf8").catch(() => null);
    const kept = text === null ? null : parse(text);
    if (kept === null) return ledger;
    ledger.#since = kept.since;
    for (const row of kept.usage) ledger.#modelsOf(row.tenant).set(row.model, { ...row });
    return ledger;
  }

  note({ tenant, model, code, promptTokens, cachedTokens, completionTokens }: FinishedRequest): void {
    const row = this.#rowOf(tenant, model ?? "");
    row.requests += 1;
    if (code !== undefined) row.failed += 1;
    row.promptTokens += promptTokens ?? 0;
    row.cachedTokens += cachedTokens ?? 0;
    row.completionTokens += completionTokens ?? 0;
    this.#dirty = true;
  }

  report(): UsageReport {
    const usage = [...this.#rows.values()].flatMap((models) => [...models.values()].map((row) => ({ ...row })));
    usage.sort((a, b) => compare(a.tenant, b.tenant) || compare(a.model, b.model));
    return { since: this.#since, usage };
  }

  /** Writes the file where something has changed since the last time. Rejects where it cannot be written; the next call tries again. */
  async save(): Promise<void> {
    if (!this.#dirty) return;
    this.#dirty = false;
    try {
      await writeFileAtomic(this.#file, `${JSON.stringify(this.report())}\n`, { mode: 0o600 });
    } catch (error) {
      this.#dirty = true;
      throw error;
    }
  }

  #rowOf(tenant: string, model: string): Counts {
    const models = this.#modelsOf(tenant);
    const row = models.get(model) ?? { tenant, model, requests: 0, failed: 0, promptTokens: 0, cachedTokens: 0, completionTokens: 0 };
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

function parse(text: string): UsageReport | null {
  try {
    const { since, usage } = JSON.parse(text) as Partial<UsageReport>;
    if (typeof since !== "number" || !Array.isArray(usage)) return null;
    const sound = usage.every((row) => typeof row?.tenant === "string" && typeof row.model === "string" && NUMBERS.every((name) => Number.isFinite(row[name])));
    return sound ? { since, usage } : null;
  } catch {
    return null;
  }
}
