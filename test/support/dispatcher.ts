import { Cancellation } from "../../src/core/cancellation.ts";
import type { Dispatcher, Lease, RequestFacts, RequestOutcome, Waiting } from "../../src/core/request.ts";
import type { Upstream } from "../../src/core/upstream.ts";
import { EngineSocket } from "../../src/upstreams/unix/engine-socket.ts";

/** A lease as the stub handed it out, with what became of it. */
export interface GrantedLease {
  readonly facts: RequestFacts;
  readonly lease: Lease;
  outcome: RequestOutcome | null;
  firstToken: boolean;
  disposed: boolean;
  /** Takes the instance away, as a crash or an eviction does. */
  lose(reason: Error): void;
}

/** One instance with endless slots, whose queue a test can hold shut. */
export class StubDispatcher implements Dispatcher {
  readonly asked: RequestFacts[] = [];
  readonly granted: GrantedLease[] = [];
  /** Requests that left the queue before they got a slot. */
  readonly abandoned: RequestFacts[] = [];
  /** Sockets for the next leases, in turn; the last one stays. */
  socketPaths: string[];
  noticesDisconnects = true;
  separatesCaches = true;
  targetId = "stub@cpu";
  /** Instead of the sockets. */
  upstream: Upstream | null = null;
  /** Rejects every request. */
  refuse: Error | null = null;
  /** What a held request is told. */
  waiting: Waiting = { reason: "loading", place: 1, expectedStartMs: null };
  #held = false;
  #queue: (() => void)[] = [];

  constructor(socketPath: string) {
    this.socketPaths = [socketPath];
  }

  hold(): void {
    this.#held = true;
  }
  release(): void {
    this.#held = false;
    for (const go of this.#queue.splice(0)) go();
  }

  async acquire(facts: RequestFacts, departure: Cancellation, onWaiting?: (wait: Waiting) => void): Promise<Lease> {
    this.asked.push(facts);
    if (departure.reason !== null) throw departure.reason;
    const arrivedAt = performance.now();
    if (this.#held) await this.#wait(facts, departure, onWaiting);
    if (this.refuse) throw this.refuse;
    return this.#grant(facts, performance.now() - arrivedAt);
  }

  #wait(facts: RequestFacts, departure: Cancellation, onWaiting?: (wait: Waiting) => void): Promise<void> {
    onWaiting?.(this.waiting);
    return new Promise((resolve, reject) => {
      const go = (): void => {
        departure.onCancel = null;
        resolve();
      };
      departure.onCancel = (reason) => {
        this.#queue = this.#queue.filter((entry) => entry !== go);
        this.abandoned.push(facts);
        reject(reason);
      };
      this.#queue.push(go);
    });
  }

  #grant(facts: RequestFacts, queuedMs: number): Lease {
    const lost = new Cancellation();
    const socketPath = (this.socketPaths.length > 1 ? this.socketPaths.shift() : this.socketPaths[0]) as string;
    const granted: GrantedLease = {
      facts,
      outcome: null,
      firstToken: false,
      disposed: false,
      lose: (reason) => lost.cancel(reason),
      lease: {
        requestId: facts.id,
        targetId: this.targetId,
        model: facts.model,
        upstream:
          this.upstream ??
          new EngineSocket(socketPath, {
            noticesDisconnects: this.noticesDisconnects,
            separatesCaches: this.separatesCaches,
          }),
        queuedMs,
        lost,
        firstToken: () => {
          granted.firstToken = true;
        },
        finish: (outcome) => {
          granted.outcome ??= outcome;
        },
        [Symbol.dispose]: () => {
          granted.disposed = true;
        },
      },
    };
    this.granted.push(granted);
    return granted.lease;
  }
}
