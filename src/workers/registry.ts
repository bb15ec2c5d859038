import type { Clock, Timer } from "../core/clock.ts";
import { AssistantError } from "../core/errors.ts";
import type { ModelSpec } from "../core/model.ts";
import { type RemoteCandidate, type RemoteDelta, type RemoteSource, servedElsewhere } from "../core/remote.ts";
import type { Store } from "../core/store.ts";
import type { SendFailure, Upstream } from "../core/upstream.ts";
import type { WorkerRegistration } from "../core/worker.ts";
import { workerDrivers } from "./protocols.ts";
import { type Reservation, type ReservationQuery, reservationKey } from "./reservation.ts";
import { StoredWorkers } from "./stored.ts";
import { capabilitiesOf, type DebugRow, Worker, type WorkerEvents } from "./worker.ts";

export interface WorkersPorts {
  readonly store: Store;
  /** Which of those it is that share the store; null: there is no other. */
  readonly installation: string | null;
  readonly clock: Clock;
  readonly log: {
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
  };
  /** Whether a model that is no worker has this name or alias. */
  isTaken(name: string): boolean;
}

/** A name and endpoint that are registered, as others see them. */
export interface WorkerView extends WorkerRegistration {
  readonly inFlight: number;
  readonly reserved: number;
  /** Epoch milliseconds of the last sign of life. */
  readonly seenAt: number;
}

/** The workers of one name: a model, which offers what the first of them does and has the places of all. */
interface Named {
  readonly first: WorkerRegistration;
  readonly workers: Set<Worker>;
  slots: number;
}

const MAX_REGISTRATIONS = 20_000;
/** A place that was reserved and not used is free again after this. */
const RESERVED_MS = 10 * 60_000;
const LOOK_EVERY_MS = 30_000;
const START_RETRY_MS = 5_000;
/** Workers that are checked at once. */
const LOOKS_AT_ONCE = 16;
/** Nothing is there any longer that could answer. Other failures, such as too many open files, may be our own. */
const GONE: ReadonlySet<unknown> = new Set(["ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH", "ENOTFOUND"]);

/**
 * The registered workers. Each is one candidate for the scheduler, and each of their names a model; workers with the
 * same name are its replicas. Unreachable or unhealthy ones are removed.
 */
export class Workers implements RemoteSource, WorkerEvents {
  readonly #ports: WorkersPorts;
  readonly #stored: StoredWorkers;
  readonly #byEndpoint = new Map<string, Worker>();
  readonly #byName = new Map<string, Named>();
  #registrations = 0;
  /** Those of an earlier daemon that are being asked how they are. */
  #before: readonly WorkerRegistration[] = [];
  #timer: Timer | null = null;
  #closed = false;
  /** Set by the owner of the sources of candidates. */
  onChange: (delta: RemoteDelta) => void = () => {};

  constructor(ports: WorkersPorts) {
    this.#ports = ports;
    this.#stored = new StoredWorkers(ports.store, ports.installation);
  }

  /**
   * Takes up those of an earlier daemon that are well; the others are forgotten. Tries until the store can be read.
   * Never rejects.
   */
  async start(): Promise<void> {
    if (this.#timer === null) this.#lookAgain();
    const { clock, log } = this.#ports;
    await this.#takeUp().catch((error: unknown) => {
      if (this.#closed) return;
      log.warn({ err: error }, "the workers of the last run could not be read; trying again");
      clock.after(START_RETRY_MS, () => void this.start());
    });
  }

  async #takeUp(): Promise<void> {
    this.#before = await this.#stored.all();
    const health = new Map<string, boolean>();
    await forEachOf(
      new Map(this.#before.map((one) => [one.endpoint, one])).values(),
      async ({ endpoint, protocol }) => {
        health.set(endpoint, (await workerDrivers[protocol].health(endpoint)) === "well");
      },
    );
    // Without those that were registered or unregistered meanwhile.
    const before = this.#before.filter((registration) => this.#find(registration) === null);
    this.#before = [];
    const lost = before.filter(({ endpoint }) => health.get(endpoint) !== true);
    for (const registration of before) if (health.get(registration.endpoint) === true) this.#add(registration);
    for (const { name, endpoint } of lost)
      this.#ports.log.warn({ name, endpoint }, "a worker did not answer after the restart and was forgotten");
    await this.#stored.remove(lost);
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  /**
   * Resolves when the registration is durable and the name is a model. Rejects with `model_exists`, and with
   * `invalid_request` for one that is registered already.
   */
  async register(registration: WorkerRegistration): Promise<void> {
    const { name, endpoint, protocol } = registration;
    if (this.#find(registration) !== null) throw duplicated();
    if (this.#ports.isTaken(name))
      throw new AssistantError("model_exists", `A model named ${JSON.stringify(name)} already exists.`, {
        param: "name",
        remedy: "Register under another name.",
      });
    const known = this.#byEndpoint.get(endpoint);
    if (known !== undefined && known.protocol !== protocol)
      throw new AssistantError(
        "invalid_request",
        `"protocol": the worker at ${endpoint} is registered with "${known.protocol}"; found "${protocol}".`,
        { param: "protocol" },
      );
    if (this.#registrations >= MAX_REGISTRATIONS)
      throw new AssistantError("no_capacity", `There are ${MAX_REGISTRATIONS} workers, and no room for more.`);
    this.#forgetBefore(registration);
    await this.#stored.add(registration);
    if (this.#find(registration) !== null) throw duplicated();
    this.#add(registration);
    this.#ports.log.info({ name, endpoint }, "a worker registered");
  }

  /** Nothing happens where it is not registered. */
  async unregister(name: string, endpoint: string): Promise<void> {
    const worker = this.#byEndpoint.get(endpoint);
    const registration = worker?.registrations.get(name) ?? this.#forgetBefore({ name, endpoint });
    if (registration === undefined) return;
    if (worker !== undefined) this.#remove(worker, [registration]);
    await this.#stored.remove([registration]);
    this.#ports.log.info({ name, endpoint }, "a worker unregistered");
  }

  /** A sign of life. False: it is not registered. */
  beat(name: string, endpoint: string): boolean {
    const worker = this.#byEndpoint.get(endpoint);
    if (worker?.registrations.has(name) !== true) return false;
    worker.seenAt = this.#ports.clock.now();
    return true;
  }

  /** Keeps a place on a worker of that name for one chat. `none`: there is no such worker. */
  schedule(wanted: Omit<Reservation, "expiresAt">): "reserved" | "busy" | "none" {
    const workers = this.#byName.get(wanted.name)?.workers;
    if (workers === undefined) return "none";
    if (this.reservationOf(wanted) !== null) return "reserved";
    let most: Worker | null = null;
    for (const worker of workers) if (worker.free > (most?.free ?? 0)) most = worker;
    most?.keep({ ...wanted, expiresAt: this.#ports.clock.now() + RESERVED_MS });
    return most === null ? "busy" : "reserved";
  }

  /** Gives a place back that was not used. */
  revoke(name: string, asked: ReservationQuery): void {
    for (const worker of this.#byName.get(name)?.workers ?? [])
      for (const reservation of worker.reservations)
        if (isOf(reservation, asked) && reservation.name === name) worker.giveBack(reservationKey(reservation));
  }

  /** What was reserved for a chat: the key for its call, and whether that runs already; null: nothing. */
  reservationOf(wanted: Omit<Reservation, "expiresAt">): { readonly key: string; readonly isUsed: boolean } | null {
    const key = reservationKey(wanted);
    for (const worker of this.#byName.get(wanted.name)?.workers ?? []) {
      const found = worker.reservation(key);
      if (found !== null) return { key, isUsed: found.isUsed };
    }
    return null;
  }

  /** Has the workers give up what they do for these chats. Resolves with how many were asked. */
  async abort(asked: readonly ReservationQuery[]): Promise<number> {
    const busy = [...this.#byEndpoint.values()].filter((worker) =>
      worker.reservations.some((one) => asked.some((query) => isOf(one, query))),
    );
    await forEachOf(busy, async ({ protocol, endpoint }) => void (await workerDrivers[protocol].abort(endpoint)));
    return busy.length;
  }

  names(): string[] {
    return [...this.#byName.keys()];
  }

  debug(): Record<string, DebugRow[]> {
    return Object.fromEntries(
      [...this.#byName].map(([name, { workers }]) => [name, [...workers].flatMap((worker) => worker.rows(name))]),
    );
  }

  list(): WorkerView[] {
    return [...this.#byEndpoint.values()].flatMap((worker) =>
      [...worker.registrations.values()].map((registration) => {
        const { inFlight, reserved, seenAt } = worker;
        return { ...registration, inFlight, reserved, seenAt };
      }),
    );
  }

  candidates(): RemoteCandidate[] {
    return [...this.#byEndpoint.values()].map((worker) => worker.candidate(this.#isOffered));
  }

  models(): ModelSpec[] {
    return [...this.#byName.values()].flatMap((named) => this.#offered(named));
  }

  upstream(endpoint: string): Upstream | null {
    return this.#byEndpoint.get(endpoint) ?? null;
  }

  reservationsChanged(worker: Worker): void {
    // One that was forgotten meanwhile still gives back what it had.
    if (this.#byEndpoint.get(worker.endpoint) !== worker) return;
    this.onChange({ candidates: [worker.candidate(this.#isOffered)], gone: [], models: [], lostModels: [] });
  }

  failed(worker: Worker, { reason }: SendFailure): void {
    if (reason.code !== "worker_unavailable") return;
    if (GONE.has((reason.cause as NodeJS.ErrnoException | null)?.code)) this.#evict(worker, reason.message);
    else void this.#look(worker);
  }

  readonly #isOffered = (name: string): boolean => !this.#ports.isTaken(name);

  #offered({ first, slots }: Named): ModelSpec[] {
    return this.#isOffered(first.name) ? [modelOf(first, slots)] : [];
  }

  #forgetBefore({ name, endpoint }: Pick<WorkerRegistration, "name" | "endpoint">): WorkerRegistration | undefined {
    const known = this.#before.find((one) => one.name === name && one.endpoint === endpoint);
    this.#before = this.#before.filter((one) => one !== known);
    return known;
  }

  #find({ name, endpoint }: WorkerRegistration): WorkerRegistration | null {
    return this.#byEndpoint.get(endpoint)?.registrations.get(name) ?? null;
  }

  #add(registration: WorkerRegistration): void {
    const { name, endpoint } = registration;
    const worker = this.#byEndpoint.get(endpoint) ?? new Worker(registration, this.#ports.clock.now(), this);
    this.#byEndpoint.set(endpoint, worker);
    worker.registrations.set(name, registration);
    this.#registrations += 1;
    const named = this.#byName.get(name) ?? { first: registration, workers: new Set(), slots: 0 };
    this.#byName.set(name, named);
    named.workers.add(worker);
    named.slots += registration.slots;
    this.onChange({
      candidates: [worker.candidate(this.#isOffered)],
      gone: [],
      models: this.#offered(named),
      lostModels: [],
    });
  }

  #remove(worker: Worker, registrations: readonly WorkerRegistration[]): void {
    const models: ModelSpec[] = [];
    const lostModels: string[] = [];
    for (const { name, slots } of registrations) {
      const named = this.#byName.get(name);
      if (!worker.registrations.delete(name) || named === undefined) continue;
      this.#registrations -= 1;
      named.workers.delete(worker);
      named.slots -= slots;
      if (named.workers.size > 0) models.push(...this.#offered(named));
      else if (this.#byName.delete(name)) lostModels.push(name);
    }
    const isGone = worker.registrations.size === 0;
    if (isGone) this.#byEndpoint.delete(worker.endpoint);
    this.onChange({
      candidates: isGone ? [] : [worker.candidate(this.#isOffered)],
      gone: isGone ? [worker.endpoint] : [],
      models,
      lostModels,
    });
  }

  #evict(worker: Worker, why: string): void {
    if (this.#byEndpoint.get(worker.endpoint) !== worker) return;
    const registrations = [...worker.registrations.values()];
    this.#remove(worker, registrations);
    const { endpoint } = worker;
    const { log } = this.#ports;
    log.warn({ endpoint, names: registrations.map(({ name }) => name), why }, "a worker was forgotten");
    this.#stored
      .remove(registrations)
      .catch((error: unknown) => log.warn({ err: error, endpoint }, "a worker could not be removed from the store"));
  }

  /** A silent one may be busy: only an error response, or that nothing is listening, counts against it. */
  async #look(worker: Worker): Promise<void> {
    const health = await workerDrivers[worker.protocol].health(worker.endpoint);
    if (this.#closed) return;
    if (health === "unwell") this.#evict(worker, "GET /health failed");
    else if (health === "well") worker.seenAt = this.#ports.clock.now();
  }

  #lookAgain(): void {
    this.#timer = this.#ports.clock.after(LOOK_EVERY_MS, () => {
      const now = this.#ports.clock.now();
      for (const worker of this.#byEndpoint.values()) worker.expire(now);
      const quiet = [...this.#byEndpoint.values()].filter(
        ({ inFlight, seenAt }) => inFlight === 0 && now - seenAt >= LOOK_EVERY_MS,
      );
      void forEachOf(quiet, (worker) => this.#look(worker)).finally(() => {
        if (!this.#closed) this.#lookAgain();
      });
    });
  }
}

const duplicated = (): AssistantError =>
  new AssistantError("invalid_request", "Duplicated worker endpoint.", { param: "endpoint" });

const isOf = (reservation: Reservation, { historyId, userId, owner }: ReservationQuery): boolean =>
  String(reservation.historyId) === String(historyId) &&
  (userId === null || String(reservation.userId) === String(userId)) &&
  (owner === null || reservation.tenant === owner);

const modelOf = (registration: WorkerRegistration, slots: number): ModelSpec => ({
  ...servedElsewhere({
    name: registration.name,
    aliases: [],
    kind: "chat",
    source: { type: "worker" },
    contextTokens: 0,
    slots,
    nodes: [],
    fingerprint: `worker ${registration.name}`,
  }),
  capabilities: capabilitiesOf(registration),
});

/** A few at a time. */
async function forEachOf<T>(items: Iterable<T>, act: (item: T) => Promise<void>): Promise<void> {
  const queue = items[Symbol.iterator]();
  const work = async (): Promise<void> => {
    for (let next = queue.next(); next.done !== true; next = queue.next()) await act(next.value);
  };
  await Promise.all(Array.from({ length: LOOKS_AT_ONCE }, work));
}
