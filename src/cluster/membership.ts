import { defaults } from "../config/defaults.ts";
import { addressText, parseAddress } from "../config/network.ts";
import type { Clock, Timer } from "../core/clock.ts";
import type { ListenAddress, RemoteServer } from "../core/config.ts";
import { AssistantError } from "../core/errors.ts";
import { oneAtATime } from "../core/one-at-a-time.ts";
import type { Collection, CollectionSpec, Store } from "../core/store.ts";
import type { ClusterLog } from "./cluster.ts";

const BEAT_MS = 3_000;
/** A machine that has not been heard of for so long is forgotten. Whether it answers is found out by asking it. */
const FORGOTTEN_AFTER_MS = 15_000;
const MAX_MEMBERS = 1_000;
/** Whose records these are: no key's. */
const TENANT = "cluster";

/** What a machine reports about itself. */
interface MemberRecord {
  /** Of the running daemon, new with every start. */
  readonly nodeId: string;
  readonly address: string;
  readonly version: string;
}

const memberCollection: CollectionSpec<MemberRecord> = { name: "cluster_members", indexes: {} };
/** Survives restarts: a machine under repair stays drained until an operator changes it. */
const drainCollection: CollectionSpec<object> = { name: "cluster_drained", indexes: {} };

export interface MembershipOptions {
  /** Shared by all machines of the cluster. */
  readonly store: Pick<Store, "collection" | "commit" | "watch">;
  readonly clock: Clock;
  readonly log: ClusterLog;
  readonly nodeId: string;
  readonly version: string;
  /** For this machine; read each time, so that a reload takes effect. */
  readonly self: () => {
    readonly name: string;
    /** Null: it serves no gRPC, and only sends requests to others. */
    readonly address: ListenAddress | null;
    readonly apiKey: string | null;
  };
  /** Other machines came, went or were drained; or this one was. */
  onChange(members: readonly RemoteServer[], isDrained: boolean): void;
}

/**
 * The members of the cluster: each machine announces itself every few seconds, and learns of the others. What they
 * serve, and how busy they are, is requested from them directly, so known machines stay in use while the store is
 * unavailable.
 */
export class Membership {
  readonly #options: MembershipOptions;
  readonly #members: Collection<MemberRecord>;
  readonly #drained: Collection<object>;
  #name = "";
  #known: readonly RemoteServer[] = [];
  #isDrained = false;
  /** Until then no machine is forgotten: while the store was unavailable, the others' records may have expired. */
  #forgetFrom = 0;
  #told = "";
  readonly #beat = oneAtATime(async () => {
    if (this.#isClosed) return;
    await this.#exchange();
    this.#timer?.cancel();
    if (!this.#isClosed) this.#timer = this.#options.clock.after(BEAT_MS, () => void this.#beat());
  });
  #timer: Timer | null = null;
  #watch: Disposable | null = null;
  #isClosed = false;

  constructor(options: MembershipOptions) {
    this.#options = options;
    this.#members = options.store.collection(memberCollection);
    this.#drained = options.store.collection(drainCollection);
  }

  /** This machine's name among the others. */
  get name(): string {
    return this.#name === "" ? this.#options.self().name : this.#name;
  }

  get isDrained(): boolean {
    return this.#isDrained;
  }

  /** Joins. Resolves once the others are known, or the store is unavailable. */
  start(): Promise<void> {
    this.#watch = this.#options.store.watch(drainCollection.name, () => void this.#beat());
    return this.#beat();
  }

  /** Leaves, so that the others need not find out. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#watch?.[Symbol.dispose]();
    this.#timer?.cancel();
    // One that runs would write this daemon down again.
    await this.#beat();
    if (this.#name !== "") await this.#options.store.commit([this.#members.remove(this.#name)]).catch(() => {});
  }

  /**
   * Takes a machine out of use, or back into it. Resolves with its name. Rejects with `node_not_found`,
   * `store_unavailable`.
   */
  async setDrained(name: string | null, isDrained: boolean): Promise<string> {
    const wanted = name ?? this.name;
    const isKnown = wanted === this.name || this.#known.some((member) => member.name === wanted);
    if (!isKnown && (isDrained || (await this.#drained.get(wanted)) === null)) throw this.#notFound(wanted);
    const change = isDrained ? this.#drained.put(wanted, {}, { tenant: TENANT }) : this.#drained.remove(wanted);
    await this.#options.store.commit([change]);
    await this.#beat();
    return wanted;
  }

  async #exchange(): Promise<void> {
    const { clock, log } = this.#options;
    try {
      await this.#sayHere();
      const [members, drained] = await Promise.all([
        this.#members.list({ limit: MAX_MEMBERS }),
        this.#drained.list({ limit: MAX_MEMBERS }),
      ]);
      this.#took(
        members.records.map(({ id, value }) => ({ name: id, ...value })),
        new Set(drained.records.map(({ id }) => id)),
      );
    } catch (error) {
      if (this.#forgetFrom <= clock.now()) log.warn({ err: error }, "the cluster's members cannot be read");
      this.#forgetFrom = clock.now() + FORGOTTEN_AFTER_MS;
    }
  }

  async #sayHere(): Promise<void> {
    const { store, clock, nodeId, version, self, log } = this.#options;
    const { name, address } = self();
    const own = this.#name.startsWith(name) ? this.#name : await this.#freeName(name);
    if (own !== this.#name) {
      if (this.#name !== "") await store.commit([this.#members.remove(this.#name)]);
      this.#name = own;
      log.info({ node: own, address: address === null ? null : addressText(address) }, "joined the cluster");
    }
    if (address === null) return;
    const record: MemberRecord = { nodeId, address: addressText(address), version };
    await store.commit([
      this.#members.put(own, record, { tenant: TENANT, expiresAt: clock.now() + FORGOTTEN_AFTER_MS }),
    ]);
  }

  /** The name, unless another machine has it: a daemon that is started again at its old address takes its old place. */
  async #freeName(name: string): Promise<string> {
    const { nodeId, self, log } = this.#options;
    const other = (await this.#members.get(name))?.value ?? null;
    const { address } = self();
    if (other === null || other.nodeId === nodeId || (address !== null && other.address === addressText(address)))
      return name;
    const own = `${name}-${nodeId.slice(-4)}`;
    log.warn(
      { node: own, other: other.address },
      `another machine of the cluster is named ${name}: set another \`[cluster] name\``,
    );
    return own;
  }

  #took(told: readonly (MemberRecord & { readonly name: string })[], drained: ReadonlySet<string>): void {
    const { nodeId, clock, self, onChange } = this.#options;
    const { apiKey } = self();
    const members = told.flatMap(({ name, address: written, nodeId: id }): RemoteServer[] => {
      const address = parseAddress(written);
      if (id === nodeId || typeof address === "string") return [];
      const isDrained = drained.has(name);
      return [{ name, address, weight: defaults.remoteWeight, enabled: !isDrained, apiKey, isDrained }];
    });
    const names = new Set(members.map(({ name }) => name));
    const missed = clock.now() < this.#forgetFrom ? this.#known.filter(({ name }) => !names.has(name)) : [];
    this.#known = [...members, ...missed];
    this.#isDrained = drained.has(this.#name);
    const now = JSON.stringify([this.#known, this.#isDrained]);
    if (now === this.#told || this.#isClosed) return;
    this.#told = now;
    onChange(this.#known, this.#isDrained);
  }

  #notFound(name: string): AssistantError {
    const names = [this.name, ...this.#known.map((member) => member.name)];
    return new AssistantError(
      "node_not_found",
      `No machine of the cluster is called ${JSON.stringify(name.slice(0, 100))}. There are ${names.slice(0, 10).join(", ")}.`,
      { param: "node", remedy: "`assistant node list` shows them." },
    );
  }
}
