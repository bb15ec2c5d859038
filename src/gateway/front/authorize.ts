import type { ApiKey, KeyScope } from "../../core/config.ts";
import { AssistantError } from "../../core/errors.ts";
import type { Caller } from "../../core/inference.ts";
import { KeyLimits, type LimitStates } from "./key-limits.ts";
import { keyOf } from "./keys.ts";

/** Who a request comes from. */
export interface Identity {
  readonly caller: Caller;
  /** Null where none is configured, and on the Unix socket. */
  readonly key: ApiKey | null;
}

/** This machine's own user: on the Unix socket, and everywhere while no keys are configured. */
export const LOCAL: Identity = { caller: { tenant: "local", models: null }, key: null };

/** What changes the daemon itself, or what it answers. */
const CHANGING: ReadonlySet<KeyScope> = new Set(["admin", "worker"]);

/**
 * The admin API, and registering workers, are for keys that were given it: without any they are on the Unix socket
 * alone.
 */
export const isHidden = (scope: KeyScope, guarded: boolean, { key }: Identity): boolean =>
  CHANGING.has(scope) && guarded && key === null;

/** What somebody is told who may not use what there is. */
export const needsAdminKey = (): AssistantError =>
  new AssistantError("insufficient_scope", 'Over the network this needs an API key with the scope "admin".', {
    remedy: "Create one (`assistant key create NAME --scope inference --scope admin`), or use the command line.",
  });

/**
 * Whose durable work an identity sees: its own tenant's; null: everybody's, for this machine's own user and keys that
 * administer.
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

/** Decides, for every door of the daemon and gRPC alike, who may do what, and how much of it. */
export class Authorizer {
  readonly #keys: () => readonly ApiKey[];
  readonly #limits: KeyLimits;
  readonly #identities = new WeakMap<ApiKey, Identity>();
  /** What each connection was last let in with. */
  readonly #known = new WeakMap<
    object,
    { readonly credential: string | null; readonly keys: readonly ApiKey[]; readonly identity: Identity }
  >();

  /** `keys` is asked anew for every request, so that a reload takes effect. */
  constructor(keys: () => readonly ApiKey[], limits: KeyLimits = new KeyLimits()) {
    this.#keys = keys;
    this.#limits = limits;
  }

  /**
   * The identity behind a credential that has the scope. Throws `missing_api_key`, `invalid_api_key` or
   * `insufficient_scope`. A credential that a `connection` was let in with is not hashed again while the keys are the
   * same; it is compared with nothing but that connection's own.
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
   * Lets a request begin. Returns what must be called, once, when it has ended; null where nothing is limited. `report`
   * gets the key's limits as they stand. Throws `rate_limit_exceeded`.
   */
  admit({ key }: Identity, report?: (states: LimitStates) => void): (() => void) | null {
    return this.#limits.admit(key, report);
  }

  /**
   * Who asks for what a tenant has left to be done later: its key as it is by now, whichever secret it has. Throws as
   * `authorize` does where a request of the key would be refused.
   */
  tenantIdentity(tenant: string): Identity {
    if (tenant === LOCAL.caller.tenant) return LOCAL;
    const named = this.#keys().filter(({ name }) => name === tenant);
    // Of several, as while one is replaced, any will do.
    const key = named.find((one) => problemOf(one) === null) ?? named[0];
    if (key === undefined) throw refusedKey(tenant, "no longer exists");
    const identity = this.#identityOf(key);
    requireValid(identity);
    requireScope(identity, "inference");
    return identity;
  }

  /** Whether anything may still be kept for a tenant, for which a request may have begun with a key that is gone. */
  isKnown(tenant: string): boolean {
    return tenant === LOCAL.caller.tenant || this.#keys().some((key) => key.name === tenant && key.isRevoked !== true);
  }

  /** The same, for what runs within no limits of the key. */
  callerOf(tenant: string): Caller {
    return this.tenantIdentity(tenant).caller;
  }

  /**
   * Counts requests that are answered later, all or none. Returns what takes that back where they are not accepted.
   * Throws as `admit` does.
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

/** Throws `invalid_api_key` where the identity's key opens nothing any more. */
function requireValid({ key }: Identity): void {
  const problem = key === null ? null : problemOf(key);
  if (key !== null && problem !== null) throw refusedKey(key.name, problem);
}

/** Why the key opens nothing; null: it does. */
function problemOf({ isRevoked = false, expiresAt }: ApiKey): string | null {
  if (isRevoked) return "was revoked";
  return expiresAt !== undefined && Date.now() >= expiresAt ? "has expired" : null;
}

const refusedKey = (name: string, problem: string): AssistantError =>
  new AssistantError("invalid_api_key", `The API key "${name}" ${problem}.`, {
    remedy: "Ask the operator of this daemon for another one.",
  });

/** Throws `insufficient_scope` where the identity's key does not have the scope. */
export function requireScope({ key }: Identity, scope: KeyScope): void {
  const scopes = key?.scopes ?? DEFAULT_SCOPES;
  if (key === null || scopes.includes(scope) || (scope === "worker" && scopes.includes("admin"))) return;
  throw new AssistantError("insufficient_scope", `The API key "${key.name}" may not ${ALLOWED[scope]}.`, {
    remedy: `Use a key with the scope "${scope}".`,
  });
}
