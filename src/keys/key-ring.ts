import type { KeyOrder, KeyView, NewKey } from "../api/keys.ts";
import { hasStoredKeys, markStoredKeys, storedKeysFile } from "../config/stored-keys.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import type { ApiKey, Paths } from "../core/config.ts";
import type { Documents, DocumentType } from "../core/documents.ts";
import { AssistantError, isAssistantError } from "../core/errors.ts";
import { nearestNames } from "../core/nearest.ts";
import { oneAtATime } from "../core/one-at-a-time.ts";
import { Signal } from "../core/signal.ts";
import type { Collection, Store, StoredRecord } from "../core/store.ts";
import {
  apiKeysOf,
  checkOrder,
  configuredView,
  isKeyName,
  type KeyRecord,
  keyCollection,
  newSecret,
  viewOf,
} from "./record.ts";

export interface KeyRingOptions {
  readonly store: Store;
  readonly paths: Pick<Paths, "dataDir">;
  /** Where the keys of a shared store are cached locally. Default: nowhere. */
  readonly documents?: Pick<Documents, "read" | "write"> | null;
  /** The keys of the configuration, in addition to stored ones. */
  readonly configured: () => readonly ApiKey[];
  readonly clock?: Pick<Clock, "now">;
  /** Ends what a tenant has running, before its records are deleted. Default: nothing runs. */
  readonly endWorkOf?: (tenant: string) => Promise<void>;
}

/** Records kept for a deleted key: its usage, and the audit trail. */
const KEPT = { except: ["usage", "audit"] } as const;

/** The keys of a shared store as they were read last: hashes, as in the store. */
type Kept = readonly { readonly id: string; readonly value: KeyRecord }[];
const KEPT_KEYS = "cluster-keys";
const keptDocument: DocumentType<{ readonly keys: Kept }> = {
  title: "API keys of the cluster",
  schema: 1,
  durable: true,
  parse(value) {
    const { keys } = (value ?? {}) as { readonly keys?: Partial<Kept[number]>[] };
    if (!Array.isArray(keys)) return null;
    const isWhole = keys.every((key) => typeof key?.id === "string" && typeof key.value?.sha256 === "string");
    return isWhole ? { keys: keys as Kept } : null;
  },
};

const PAGE = 500;
const TENANT = "local";
/** Opens nothing; a door that has it asks for a key. */
const NOBODY: ApiKey = { name: "", sha256: "", isRevoked: true };

/** The keys in the store: made, replaced and revoked here, and held in memory for the doors. */
export class KeyRing {
  readonly changed = new Signal<void>();
  readonly #options: Required<KeyRingOptions>;
  readonly #records: Collection<KeyRecord>;
  #stored: readonly ApiKey[] = [];
  /** Whether the store could be read once. */
  #isRead = false;
  /** Of the document, as JSON. */
  #kept: string | null = null;
  /** Everything that doors accept, and of which configuration. The same array as long as nothing changes. */
  #all: { readonly configured: readonly ApiKey[]; readonly keys: readonly ApiKey[] } | null = null;

  constructor(options: KeyRingOptions) {
    this.#options = { clock: systemClock, documents: null, endWorkOf: async () => {}, ...options };
    this.#records = options.store.collection(keyCollection);
  }

  /** All keys, of configuration and store. While it is empty, doors ask for none. */
  get keys(): readonly ApiKey[] {
    const configured = this.#options.configured();
    if (this.#all?.configured !== configured)
      this.#all = { configured, keys: this.#stored.length === 0 ? configured : [...configured, ...this.#stored] };
    return this.#all.keys;
  }

  /** Problems that should be reported, one sentence each. */
  get problems(): readonly string[] {
    const { paths, store } = this.#options;
    if (this.#stored[0] === NOBODY && !this.#isRead)
      return [
        `The API keys in ${store.location} cannot be read; requests that have one of them are refused until then.`,
      ];
    return this.#stored[0] === NOBODY
      ? [
          `The store had API keys and has none now, so requests over the network are refused: restore a backup, create new keys, or delete ${storedKeysFile(paths)} and restart to serve without keys.`,
        ]
      : [];
  }

  /**
   * The same at the start, when keys that other daemons share may be out of reach: those that were read last hold until
   * then.
   */
  async open(): Promise<void> {
    const { store, documents } = this.#options;
    try {
      await this.load();
    } catch (error) {
      if (!store.isShared || !isAssistantError(error) || error.code !== "store_unavailable") throw error;
      await this.#take((await documents?.read(KEPT_KEYS, keptDocument))?.keys ?? []);
    }
  }

  /** Reads the keys as they are in the store now: at start, and where another process may have changed them. */
  readonly load = oneAtATime(() => this.#load());

  async #load(): Promise<void> {
    const { store, documents } = this.#options;
    const records = (await this.#list()).map(({ id, value }) => ({ id, value }));
    this.#isRead = true;
    await this.#take(records);
    const text = JSON.stringify(records);
    if (!store.isShared || documents === null || text === this.#kept) return;
    await documents.write(KEPT_KEYS, keptDocument, { keys: records });
    this.#kept = text;
  }

  async #take(records: Kept): Promise<void> {
    const stored = records.flatMap(({ id, value }) => apiKeysOf(id, value));
    // Another daemon may have made the first one.
    if (stored.length > 0) await markStoredKeys(this.#options.paths, true);
    const next = stored.length === 0 && hasStoredKeys(this.#options.paths) ? [NOBODY] : stored;
    if (JSON.stringify(next) === JSON.stringify(this.#stored)) return;
    this.#stored = next;
    this.#all = null;
    this.changed.emit();
  }

  /** Reads them again whenever another daemon has changed them. */
  watch(failed: (error: unknown) => void): Disposable {
    return this.#options.store.watch(keyCollection.name, () => void this.load().catch(failed));
  }

  async list(): Promise<KeyView[]> {
    const now = this.#options.clock.now();
    const stored = (await this.#list()).map(({ id, value }) => viewOf(id, value, now));
    return [...this.#options.configured().map(configuredView), ...stored];
  }

  /** Throws `key_not_found`. */
  async show(name: string): Promise<KeyView> {
    const configured = this.#options.configured().find((key) => key.name === name);
    const view =
      configured === undefined
        ? viewOf(name, (await this.#required(name)).value, this.#options.clock.now())
        : configuredView(configured);
    return { ...view, stored: await this.#options.store.heldBy(name) };
  }

  /** Throws `invalid_request` and `key_exists`. The secret is returned this once and kept nowhere. */
  async create(order: KeyOrder): Promise<NewKey> {
    const { store, paths, clock, configured } = this.#options;
    const now = clock.now();
    checkOrder(order, now);
    const { name, ...settings } = order;
    if (configured().some((key) => key.name === name)) throw exists(name, "in the configuration");
    // A new key with that name could read them.
    if ((await this.#records.get(name)) === null && (await store.hasRecordsOf(name, KEPT))) throw hasLeftovers(name);
    const { secret, ...kept } = newSecret();
    const record: KeyRecord = { ...settings, ...kept, createdAt: now };
    // First, so that a crash between the two leaves doors closed, not open.
    await markStoredKeys(paths, true);
    const made = await store.commit([this.#records.put(name, record, { tenant: TENANT, expect: 0 })]);
    if (!made.ok) throw exists(name, "already");
    await this.load();
    return { key: viewOf(name, record, now), secret };
  }

  /**
   * Gives the key another secret; the old one works for `graceS` more. Throws `key_not_found`, and `invalid_request`
   * for one that was revoked.
   */
  async rotate(name: string, graceS: number): Promise<NewKey> {
    await this.#required(name);
    const now = this.#options.clock.now();
    const { secret, ...kept } = newSecret();
    const changed = await this.#records.update(name, ({ previous: _, ...record }) => {
      if (record.revokedAt !== undefined)
        throw new AssistantError("invalid_request", `The API key "${name}" was revoked.`, {
          remedy: "Create another one.",
        });
      const previous = graceS > 0 ? { previous: { sha256: record.sha256, until: now + graceS * 1_000 } } : {};
      return { ...record, ...kept, ...previous, rotatedAt: now };
    });
    if (changed === null) throw this.#unknown(name, []);
    await this.load();
    return { key: viewOf(name, changed.value, now), secret };
  }

  /**
   * The key opens nothing any more. With `forget` its record and all that its requests have stored are deleted; else
   * they stay. Throws `key_not_found`.
   */
  async revoke(name: string, { forget }: { readonly forget: boolean }): Promise<KeyView> {
    const now = this.#options.clock.now();
    if (forget && (await this.#isLeftover(name))) {
      await this.#forget(name);
      return { name, state: "revoked", source: "store", hint: "" };
    }
    const { value } = await this.#required(name);
    const record = { ...value, revokedAt: value.revokedAt ?? now };
    // First, so that nothing more is begun.
    await this.#records.update(name, ({ previous: _, ...old }) => ({ ...old, revokedAt: record.revokedAt }));
    await this.load();
    if (forget) await this.#forget(name);
    return viewOf(name, record, now);
  }

  /** There is no key of the name, and there are records of one that is gone. */
  async #isLeftover(name: string): Promise<boolean> {
    const { store, configured } = this.#options;
    if (!isKeyName(name) || configured().some((key) => key.name === name)) return false;
    return (await this.#records.get(name)) === null && (await store.hasRecordsOf(name, KEPT));
  }

  /** The key's own record last: where this fails, it can be done again. */
  async #forget(name: string): Promise<void> {
    const { store, paths, endWorkOf } = this.#options;
    await endWorkOf(name);
    await store.removeRecordsOf(name, KEPT);
    await store.commit([this.#records.remove(name)]);
    if ((await this.#list()).length === 0) await markStoredKeys(paths, false);
    await this.load();
  }

  async #list(): Promise<StoredRecord<KeyRecord>[]> {
    const all: StoredRecord<KeyRecord>[] = [];
    for (let after: string | null | undefined; after !== null; ) {
      const page = await this.#records.list({ limit: PAGE, ...(after === undefined ? {} : { after }) });
      all.push(...page.records);
      after = page.next;
    }
    return all;
  }

  async #required(name: string): Promise<StoredRecord<KeyRecord>> {
    const record = await this.#records.get(name);
    if (record !== null) return record;
    throw this.#unknown(
      name,
      (await this.#list()).map(({ id }) => id),
    );
  }

  #unknown(name: string, names: readonly string[]): AssistantError {
    const quoted = JSON.stringify(name);
    if (this.#options.configured().some((key) => key.name === name))
      return new AssistantError("key_not_found", `The API key ${quoted} is in the configuration, not in the store.`, {
        remedy: "Change its entry under `[[server.api_key_sha256]]`, or ASSISTANT_API_KEY.",
      });
    const [nearest] = nearestNames(name, names, 1);
    return new AssistantError("key_not_found", `There is no API key ${quoted}.`, {
      remedy: nearest === undefined ? "`assistant key list` shows all." : `Did you mean ${JSON.stringify(nearest)}?`,
    });
  }
}

const hasLeftovers = (name: string): AssistantError =>
  new AssistantError(
    "key_exists",
    `There are responses, files, tasks or conversations of an earlier API key ${JSON.stringify(name)}.`,
    {
      param: "name",
      remedy: `Choose another name, or delete them: \`assistant key revoke ${name} --forget\`.`,
    },
  );

const exists = (name: string, where: string): AssistantError =>
  new AssistantError("key_exists", `There is an API key ${JSON.stringify(name)} ${where}.`, {
    param: "name",
    remedy: "Choose another name, or use `assistant key rotate` for a new secret.",
  });
