import type { ApiKey, StorageSettings } from "../core/config.ts";
import type { Holding } from "../core/store.ts";
import { LOCAL } from "./record.ts";

/** A tenant's storage limit; null: none, for this machine's own user. */
export function storageLimitOf(tenant: string, keys: readonly ApiKey[], { perKey }: StorageSettings): Holding | null {
  if (tenant === LOCAL) return null;
  const key = keys.find(({ name }) => name === tenant);
  return {
    bytes: key?.maxStoredMib === undefined ? perKey.bytes : key.maxStoredMib * 2 ** 20,
    records: key?.maxStoredRecords ?? perKey.records,
  };
}
