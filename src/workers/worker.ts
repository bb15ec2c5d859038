import type { AnswerSink } from "../core/inference.ts";
import { type Capabilities, capabilitiesOfKind } from "../core/model.ts";
import type { RemoteCandidate } from "../core/remote.ts";
import { type AnswerFacts, SendFailure, type Sending, type Upstream } from "../core/upstream.ts";
import type { WorkerProtocol, WorkerRegistration } from "../core/worker.ts";
import { workerDrivers } from "./protocols.ts";
import { NOBODY, type Reservation, reservationKey } from "./reservation.ts";

export interface WorkerEvents {
  /** Which of its places are reserved has changed. */
  reservationsChanged(worker: Worker): void;
  /** A call was not answered. Called before another worker is chosen. */
  failed(worker: Worker, failure: SendFailure): void;
}

/** Texts in, text out. What a worker says it offers goes before what its protocol lets one expect. */
export const capabilitiesOf = ({ capabilities }: WorkerRegistration): Capabilities => ({
  ...capabilitiesOfKind("chat"),
  tools: false,
  vision: false,
  audio: false,
  ...capabilities,
});

/** A row of `debug`: endpoint, status, history id, user id. */
export type DebugRow = readonly [string, "READY" | "BUSY", string | number, string | number];

/** A program that has registered itself, under one name or several: one endpoint, and the way to it. */
export class Worker implements Upstream {
  readonly endpoint: string;
  readonly protocol: WorkerProtocol;
  /** By name. */
  readonly registrations = new Map<string, WorkerRegistration>();
  /** Epoch milliseconds of the last sign of life. */
  seenAt: number;
  readonly #events: WorkerEvents;
  readonly #upstream: Upstream;
  /** Reserved, and not in use yet; and those in use. By their keys. */
  readonly #kept = new Map<string, Reservation>();
  readonly #used = new Map<string, Reservation>();
  #inFlight = 0;

  constructor({ endpoint, protocol }: WorkerRegistration, seenAt: number, events: WorkerEvents) {
    this.endpoint = endpoint;
    this.protocol = protocol;
    this.seenAt = seenAt;
    this.#events = events;
    this.#upstream = workerDrivers[protocol].upstream(endpoint);
  }

  /** Requests it works on at once. */
  get slots(): number {
    return Math.max(1, ...[...this.registrations.values()].map(({ slots }) => slots));
  }

  /** Requests of ours that it works on. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Reserved places. */
  get reserved(): number {
    return this.#kept.size;
  }

  /** Places that are free for anybody. */
  get free(): number {
    return this.slots - this.#inFlight - this.#kept.size;
  }

  /** As the scheduler sees it; `isOffered`: whether a name of it is a model here. */
  candidate(isOffered: (name: string) => boolean): RemoteCandidate {
    const { slots } = this;
    const facts = { slots, inFlight: 0, loaded: true };
    const common = this.#kept.size === 0 ? facts : { ...facts, reservations: new Set(this.#kept.keys()) };
    const offered = [...this.registrations.values()].filter(({ name }) => isOffered(name));
    return {
      name: this.endpoint,
      nodeId: "",
      weight: 1,
      up: true,
      maxInFlight: slots - this.#kept.size,
      models: new Map(offered.map((one) => [one.name, { ...common, capabilities: capabilitiesOf(one) }])),
    };
  }

  reservation(key: string): { readonly reservation: Reservation; readonly isUsed: boolean } | null {
    const kept = this.#kept.get(key);
    const reservation = kept ?? this.#used.get(key);
    return reservation === undefined ? null : { reservation, isUsed: kept === undefined };
  }

  get reservations(): readonly Reservation[] {
    return [...this.#kept.values(), ...this.#used.values()];
  }

  keep(reservation: Reservation): void {
    this.#kept.set(reservationKey(reservation), reservation);
    this.#events.reservationsChanged(this);
  }

  /** One that is in use ends with its request. */
  giveBack(key: string): void {
    if (this.#kept.delete(key)) this.#events.reservationsChanged(this);
  }

  /** Releases expired reservations. */
  expire(now: number): void {
    for (const [key, { expiresAt }] of this.#kept) if (expiresAt <= now) this.giveBack(key);
  }

  async send(sending: Sending, sink: AnswerSink): Promise<AnswerFacts> {
    const key = sending.call.reservation;
    const reservation = key === undefined ? undefined : this.#kept.get(key);
    this.#inFlight += 1;
    if (key !== undefined && reservation !== undefined) {
      this.#used.set(key, reservation);
      this.giveBack(key);
    }
    try {
      const facts = await this.#upstream.send(sending, sink);
      this.seenAt = Date.now();
      return facts;
    } catch (error) {
      if (error instanceof SendFailure) this.#events.failed(this, error);
      throw error;
    } finally {
      this.#inFlight -= 1;
      if (key !== undefined) this.#used.delete(key);
    }
  }

  /** What it does for one of its names, a row for each of its places. */
  rows(name: string): DebugRow[] {
    const row = (status: DebugRow[1], { historyId, userId }: Reservation): DebugRow => [
      this.endpoint,
      status,
      historyId,
      userId,
    ];
    const of = (reservations: ReadonlyMap<string, Reservation>): Reservation[] =>
      [...reservations.values()].filter((reservation) => reservation.name === name);
    const reserved = [
      ...of(this.#used).map((reservation) => row("BUSY", reservation)),
      ...of(this.#kept).map((reservation) => row("READY", reservation)),
    ];
    const nobody = (status: DebugRow[1], count: number): DebugRow[] =>
      Array.from({ length: Math.max(0, count) }, () => [this.endpoint, status, NOBODY, NOBODY]);
    const busy = nobody("BUSY", this.slots - reserved.length - this.free);
    return [...reserved, ...busy, ...nobody("READY", this.free)];
  }
}
