import { hash } from "node:crypto";
import type { CacheScope } from "../core/upstream.ts";

/** The number of tenants, and whether they share cached prompts. */
export interface Tenancy {
  readonly apiKeys: readonly unknown[];
  /** Whether prompts cached for one key may be used for another. Default: no. */
  readonly sharePrefixes?: boolean;
}

const EVERYBODYS: CacheScope = { name: "", isContested: false };

/** By owner, for requests that name no part. */
const wholes = new Map<string, { readonly contested: CacheScope; readonly own: CacheScope }>();

/**
 * The scope of a tenant's request. Without keys, or with `share_prefixes`, there is one scope. `part` subdivides a
 * tenant's scope; null: not at all.
 */
export function cacheScopeOf(tenant: string, part: string | null, { apiKeys, sharePrefixes }: Tenancy): CacheScope {
  const isOwn = apiKeys.length > 0 && sharePrefixes !== true;
  if (part !== null) return scopeOf(isOwn ? tenant : "", part, true);
  if (!isOwn) return EVERYBODYS;
  let whole = wholes.get(tenant);
  if (whole === undefined) {
    whole = { contested: scopeOf(tenant, "", true), own: scopeOf(tenant, "", false) };
    wholes.set(tenant, whole);
  }
  return apiKeys.length > 1 ? whole.contested : whole.own;
}

const scopeOf = (owner: string, part: string, isContested: boolean): CacheScope => ({
  name: hash("sha256", `${owner.length}:${owner}${part}`, "hex").slice(0, 32),
  isContested,
});
