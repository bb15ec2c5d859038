import type { ApiKey, KeyScope } from "../../core/config.ts";
import { AssistantError } from "../../core/errors.ts";
import type { Caller } from "../../core/inference.ts";
import { KeyLimits, type LimitStates } from "./key-limits.ts";
import { keyOf } from "./keys.ts";

/** The origin of a request. */
export interface Identity {
  readonly caller: Caller;
  /** Null if none is configured, and on the Unix socket. */
  readonly key: ApiKey | null;
}

/** This machine's own user: on the Unix socket, and everywhere while no keys are configured. */
export const LOCAL: Identity = { caller: { tenant: "local", models: null }, key: null };

/** Scopes for changing the daemon itself, or its answers. */
const CHANGING: ReadonlySet<KeyScope> = new Set(["admin", "worker"]);

/**
 * The admin API, and registering workers, require a key with that scope: without keys they are only available on the
 * Unix socket.
 */
export const isHidden = (scope: KeyScope, guarded: boolean, { key }: Identity): boolean =>
  CHANGING.has(scope) && guarded && key === null;

/** What each scope allows, for the message to a key without it. */
export const needsAdminKey = (): AssistantError =>
  new AssistantError("insufficient_scope", 'Over the network this needs an API key with the scope "admin".', {
    remedy: "Create one (`assistant key create NAME --scope inference --scope admin`), or use the command line.",
  });

/**
 * The tenant whose durable records an identity can see; null: all, for this machine's own user and for keys with the
 * scope `admin`.
 */
export const ownerOf = ({ caller, key }: Identity): string | null =>
  key === null || (key.scopes ?? []).includes("admin") ? null : caller.tenant;

const DEFAULT_SCOPES: readonly KeyScope[] = ["inference"];
const ALLOWED: Readonly<Record<KeyScope, string>> = {
  inference: "use models",
  metrics: "read metrics",
  worker: "register workers",
  admin: "call the admin API",
};

/** Decides, for all doors and gRPC alike, which requests are allowed, and how many. */
export class Authorizer {
  readonly #keys: () => readonly ApiKey[];
  readonly #limits: KeyLimits;
  readonly #identities = new WeakMap<ApiKey, Identity>();
  /** The credential with which each connection was last accepted. */
  readonly #known = new WeakMap<
    object,
    { readonly credential: string | null; readonly keys: readonly ApiKey[]; readonly identity: Identity }
  >();

  /** `keys` is called for every request, so that a reload takes effect. */
  constructor(keys: () => readonly ApiKey[], limits: KeyLimits = new KeyLimits()) {
    this.#keys = keys;
    this.#limits = limits;
  }

  /**
   * The identity for a credential that has the scope. Throws `missing_api_key`, `invalid_api_key` or
   * `insufficient_scope`. The accepted credential of a `connection` is not hashed again while the keys are unchanged;
   * it is only compared with that connection's own.
   */
  authorize(credential: string | null, scope: KeyScope, connection?: object): Identity {
    const keys = this.#keys();
    if (keys.length === 0) return LOCAL;
    const known = connection === undefined ? undefined : this.#known.get(connection);
    const identity =
      known?.keys === keys && known.credential === credential ? known.identity : this.#identify(credential, keys);
    if (connection !== undefined && identity !== known?.identity)
      this.#known.set(connection, { credential, keys, identity });
    requireValid(identity);
    requireScope(identity, scope);
    return identity;
  }

  /**
   * Admits a request. Returns a function to call, once, when it has ended; null if nothing is limited. `report`
   * receives the current limits of the key. Throws `rate_limit_exceeded`.
   */
  admit({ key }: Identity, report?: (states: LimitStates) => void): (() => void) | null {
    return this.#limits.admit(key, report);
  }

  /**
   * The identity for deferred work of a tenant: its current key, whichever secret it has. Throws like `authorize` if a
   * request of the key would be refused.
   */
  tenantIdentity(tenant: string): Identity {
    if (tenant === LOCAL.caller.tenant) return LOCAL;
    const named = this.#keys().filter(({ name }) => name === tenant);
    // While a key is being replaced there are several; any of them will do.
    const key = named.find((one) => problemOf(one) === null) ?? named[0];
    if (key === undefined) throw refusedKey(tenant, "no longer exists");
    const identity = this.#identityOf(key);
    requireValid(identity);
    requireScope(identity, "inference");
    return identity;
  }

  /** Whether records may still be stored for a tenant whose request may have begun with a key that no longer exists. */
  isKnown(tenant: string): boolean {
    return tenant === LOCAL.caller.tenant || this.#keys().some((key) => key.name === tenant && key.isRevoked !== true);
  }

  /** The same without the key's limits. */
  callerOf(tenant: string): Caller {
    return this.tenantIdentity(tenant).caller;
  }

  /**
   * Counts deferred requests, all or none. Returns a function that undoes this if they are not accepted. Throws like
   * `admit`.
   */
  admitLater({ key }: Identity, count: number): () => void {
    return this.#limits.admitLater(key, count);
  }

  #identify(credential: string | null, keys: readonly ApiKey[]): Identity {
    return this.#identityOf(keyOf(credential, keys));
  }

  #identityOf(key: ApiKey): Identity {
    let identity = this.#identities.get(key);
    if (identity === undefined) {
      const { name: tenant, models = null, priority } = key;
      identity = { caller: { tenant, models, ...(priority === undefined ? {} : { priority }) }, key };
      this.#identities.set(key, identity);
    }
    return identity;
  }
}

/** Throws `invalid_api_key` if the identity's key is no longer valid. */
function requireValid({ key }: Identity): void {
  const problem = key === null ? null : problemOf(key);
  if (key !== null && problem !== null) throw refusedKey(key.name, problem);
}

/** Why the key is not valid; null: it is. */
function problemOf({ isRevoked = false, expiresAt }: ApiKey): string | null {
  if (isRevoked) return "was revoked";
  return expiresAt !== undefined && Date.now() >= expiresAt ? "has expired" : null;
}

const refusedKey = (name: string, problem: string): AssistantError =>
  new AssistantError("invalid_api_key", `The API key "${name}" ${problem}.`, {
    remedy: "Ask the operator of this daemon for another one.",
  });

/** Throws `insufficient_scope` if the identity's key does not have the scope. */
export function requireScope({ key }: Identity, scope: KeyScope): void {
  const scopes = key?.scopes ?? DEFAULT_SCOPES;
  if (key === null || scopes.includes(scope) || (scope === "worker" && scopes.includes("admin"))) return;
  throw new AssistantError("insufficient_scope", `The API key "${key.name}" may not ${ALLOWED[scope]}.`, {
    remedy: `Use a key with the scope "${scope}".`,
  });
}
