import { hash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { GatewaySettings } from "../ports.ts";

/**
 * Tells an engine, or the daemon of another machine, whose cached prompts may serve this one: only those of requests with
 * the same value. What a client sends under the name divides its own tenant's scope further and leads into no other's, so that
 * a daemon that forwards for several tenants need not be trusted more than any client.
 */
const SCOPE_HEADER = "x-cache-scope";

export interface CacheScope {
  /** Empty: everybody's, and no header is sent. */
  readonly name: string;
  /** Headers for the engine, `name: value` each. */
  readonly headers: readonly string[];
  /**
   * Whether an engine that knows no scopes must keep nothing of the prompt. Not where the only tenants are the holder of
   * the single key and this machine's own user.
   */
  readonly isContested: boolean;
}

const EVERYBODYS: CacheScope = { name: "", headers: [], isContested: false };

/** By owner, of requests that name no part. */
const wholes = new Map<string, { readonly contested: CacheScope; readonly own: CacheScope }>();

/** The scope of a tenant's request. Without keys all is one scope, as where `share_prefixes` says so. */
export function cacheScopeOf(request: IncomingMessage, tenant: string, { apiKeys, sharePrefixes }: GatewaySettings): CacheScope {
  const part = request.headers[SCOPE_HEADER];
  const isOwn = apiKeys.length > 0 && sharePrefixes !== true;
  if (part !== undefined) return scopeOf(isOwn ? tenant : "", String(part), true);
  if (!isOwn) return EVERYBODYS;
  let whole = wholes.get(tenant);
  if (whole === undefined) {
    whole = { contested: scopeOf(tenant, "", true), own: scopeOf(tenant, "", false) };
    wholes.set(tenant, whole);
  }
  return apiKeys.length > 1 ? whole.contested : whole.own;
}

function scopeOf(owner: string, part: string, isContested: boolean): CacheScope {
  const name = hash("sha256", `${owner.length}:${owner}${part}`, "hex").slice(0, 32);
  return { name, headers: [`${SCOPE_HEADER}: ${name}`], isContested };
}
