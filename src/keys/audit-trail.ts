import type { AuditEntry, AuditReport } from "../api/audit.ts";
import { newRequestId } from "../core/ids.ts";
import type { Collection, CollectionSpec, Store } from "../core/store.ts";

const auditCollection: CollectionSpec<AuditEntry> = { name: "audit", indexes: { byTime: ["at"] } };

/** Records are never changed, and deleted after this time. */
const KEPT_MS = 400 * 86_400_000;

/** An append-only list in the store of who changed what. */
export class AuditTrail {
  readonly #store: Store;
  readonly #records: Collection<AuditEntry>;

  constructor(store: Store) {
    this.#store = store;
    this.#records = store.collection(auditCollection);
  }

  async append(record: AuditEntry): Promise<void> {
    const expiresAt = record.at + KEPT_MS;
    await this.#store.commit([
      this.#records.put(newRequestId(), record, { tenant: record.actor, expiresAt, expect: 0 }),
    ]);
  }

  /** Newest first. */
  async list(query: {
    readonly since?: number;
    readonly limit: number;
    readonly after?: string;
  }): Promise<AuditReport> {
    const { since, limit, after } = query;
    const { records, next } = await this.#records.list({
      index: "byTime",
      order: "desc",
      limit,
      ...(since === undefined ? {} : { from: since }),
      ...(after === undefined ? {} : { after }),
    });
    return { entries: records.map(({ value }) => value), next };
  }
}
