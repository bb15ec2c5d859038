import type { Clock, Timer } from "../core/clock.ts";
import type { RedisConnection } from "../store/redis/connection.ts";

/** Interval between requests for updates, and how long a daemon sends without being asked again. */
const ASK_MS = 1_000;
const LEASE_MS = 5_000;
/** After this many unanswered requests, no daemon is producing it. */
const MAX_UNANSWERED = 3;

/** Something that a daemon produces, and that only grows at its end. */
export interface Growing {
  /** It starts over. */
  readonly attempt: string;
  readonly length: number;
  /** What follows a position, at most one message's worth, and the position after it. */
  slice(from: number): { readonly parts: readonly string[]; readonly next: number };
}

/** Receives what another daemon produces. */
export interface Mirror {
  /** This daemon produces it: no other one is asked. */
  readonly isHere: boolean;
  /** An attempt starts; parts of an earlier one are void. */
  begin(): void;
  take(parts: readonly string[]): void;
  /** It is complete. */
  end(): void;
  /** No daemon responds. Another one may start over. */
  lost(): void;
}

export interface RelayOptions {
  readonly connection: Pick<RedisConnection, "id" | "isUp" | "channel" | "publish" | "subscribe">;
  /** The kind of product, among others. */
  readonly kind: string;
  /** What this daemon produces under an id; null: nothing. */
  readonly read: (id: string) => Growing | null;
  readonly clock: Clock;
}

interface Question {
  readonly from: string;
  readonly id: string;
  readonly attempt: string;
  readonly have: number;
  /** The last message may have been lost. */
  readonly isLost: boolean;
}

interface Answer {
  readonly id: string;
  readonly attempt: string;
  readonly from: number;
  readonly next: number;
  readonly parts: readonly string[];
  readonly isOver: boolean;
}

/** A daemon that follows something that is, or may be, produced here. */
interface Follower {
  readonly id: string;
  readonly daemon: string;
  /** Null: it has not begun. */
  source: Growing | null;
  sent: number;
  /** It waits for a response, whether there is more or not. */
  isOwed: boolean;
  until: number;
  isSending: boolean;
}

interface Followed {
  readonly mirror: Mirror;
  readers: number;
  attempt: string;
  have: number;
  hasHeard: boolean;
  unanswered: number;
  timer: Timer | null;
}

/**
 * Lets the daemons of a cluster follow what one of them produces, from its start and as it grows. A follower asks all
 * of them; the producer responds, and sends updates as long as it is asked again. One message per follower is in
 * transit at a time, so slow readers get longer ones. Lost messages are requested again: nothing is stored for that
 * except the product itself.
 */
export class Relay {
  readonly #options: RelayOptions;
  /** By id, the most recently requested last. */
  readonly #followers = new Map<string, Follower[]>();
  readonly #followed = new Map<string, Followed>();
  readonly #subscriptions: readonly Disposable[];

  constructor(options: RelayOptions) {
    this.#options = options;
    const { connection } = options;
    this.#subscriptions = [
      connection.subscribe(this.#questions, (message) => {
        if (message !== null) this.#asked(JSON.parse(message) as Question);
      }),
      connection.subscribe(this.#answersTo(connection.id), (message) => {
        if (message !== null) this.#told(JSON.parse(message) as Answer);
        else for (const id of this.#followed.keys()) this.#ask(id, true);
      }),
    ];
  }

  close(): void {
    for (const subscription of this.#subscriptions) subscription[Symbol.dispose]();
    for (const { timer } of this.#followed.values()) timer?.cancel();
    this.#followed.clear();
    this.#followers.clear();
  }

  /** The product under the id has grown, started over or ended. */
  grown(id: string): void {
    for (const follower of this.#followers.get(id) ?? []) void this.#send(follower);
  }

  /** Follows what another daemon produces, or will produce, under the id, into one mirror for all local followers. */
  follow(id: string, mirrorOf: () => Mirror): Disposable {
    const followed = this.#followed.get(id) ?? this.#begin(id, mirrorOf());
    followed.readers++;
    return {
      [Symbol.dispose]: () => {
        if (--followed.readers > 0) return;
        followed.timer?.cancel();
        this.#followed.delete(id);
        if (!followed.mirror.isHere) followed.mirror.end();
      },
    };
  }

  #begin(id: string, mirror: Mirror): Followed {
    const followed: Followed = {
      ...{ mirror, readers: 0, attempt: "", have: 0 },
      ...{ hasHeard: false, unanswered: 0, timer: null },
    };
    this.#followed.set(id, followed);
    this.#ask(id, true);
    this.#askLater(id, followed);
    return followed;
  }

  #askLater(id: string, followed: Followed): void {
    const { clock, connection } = this.#options;
    followed.timer = clock.after(ASK_MS, () => {
      // A request that could not be sent says nothing about who would respond.
      const isUnanswered = !followed.hasHeard && connection.isUp && !followed.mirror.isHere;
      if (isUnanswered && ++followed.unanswered === MAX_UNANSWERED) {
        followed.attempt = "";
        followed.have = 0;
        followed.mirror.lost();
      }
      this.#ask(id, !followed.hasHeard);
      followed.hasHeard = false;
      this.#askLater(id, followed);
    });
  }

  #ask(id: string, isLost: boolean): void {
    const followed = this.#followed.get(id);
    if (followed === undefined || followed.mirror.isHere) return;
    const { attempt, have } = followed;
    this.#publish(this.#questions, { from: this.#options.connection.id, id, attempt, have, isLost });
  }

  #told({ id, attempt, from, next, parts, isOver }: Answer): void {
    const followed = this.#followed.get(id);
    if (followed === undefined || followed.mirror.isHere) return;
    followed.hasHeard = true;
    followed.unanswered = 0;
    if (attempt !== followed.attempt && from === 0) {
      followed.attempt = attempt;
      followed.have = 0;
      followed.mirror.begin();
    }
    if (attempt !== followed.attempt || from > followed.have) this.#ask(id, true);
    // Otherwise it was sent twice.
    if (attempt !== followed.attempt || from !== followed.have) return;
    followed.have = next;
    if (parts.length > 0) followed.mirror.take(parts);
    if (isOver) followed.mirror.end();
  }

  #asked({ from: daemon, id, attempt, have, isLost }: Question): void {
    const { connection, read, clock } = this.#options;
    if (daemon === connection.id) return;
    const now = clock.now();
    this.#forgetExpired(now);
    const followers = this.#followers.get(id) ?? [];
    this.#followers.delete(id);
    this.#followers.set(id, followers);
    const known = followers.find((one) => one.daemon === daemon);
    const follower: Follower = known ?? {
      ...{ id, daemon, source: null, sent: 0, isOwed: true, until: 0, isSending: false },
    };
    if (known === undefined) followers.push(follower);
    follower.until = now + LEASE_MS;
    follower.source ??= read(id);
    if (isLost || known === undefined) {
      follower.sent = attempt === follower.source?.attempt ? Math.min(have, follower.source.length) : 0;
      follower.isOwed = true;
    }
    void this.#send(follower);
  }

  /** Sends what is available, until there is no more. */
  async #send(follower: Follower): Promise<void> {
    const { connection, read, clock } = this.#options;
    if (follower.isSending) return;
    follower.isSending = true;
    try {
      for (;;) {
        const now = read(follower.id);
        if (now !== null && now.attempt !== follower.source?.attempt) {
          follower.source = now;
          follower.sent = 0;
          follower.isOwed = true;
        }
        const { source, sent: from } = follower;
        if (source === null || (now !== null && from >= source.length && !follower.isOwed)) return;
        const { parts, next } = source.slice(from);
        const isOver = now === null && next >= source.length;
        follower.isOwed = false;
        follower.sent = next;
        const answer: Answer = { id: follower.id, attempt: source.attempt, from, next, parts, isOver };
        const reached = await connection.publish(this.#answersTo(follower.daemon), JSON.stringify(answer));
        if (isOver || reached === 0 || clock.now() > follower.until) return this.#forget(follower);
      }
    } catch {
      // It asks again once the connection is restored.
      this.#forget(follower);
    } finally {
      follower.isSending = false;
    }
  }

  #forgetExpired(now: number): void {
    for (const [id, followers] of this.#followers) {
      if (followers.some(({ until }) => until > now)) return;
      this.#followers.delete(id);
    }
  }

  #forget(follower: Follower): void {
    const rest = (this.#followers.get(follower.id) ?? []).filter((other) => other !== follower);
    if (rest.length > 0) this.#followers.set(follower.id, rest);
    else this.#followers.delete(follower.id);
  }

  #publish(channel: string, message: Question): void {
    void this.#options.connection.publish(channel, JSON.stringify(message)).catch(() => {});
  }

  get #questions(): string {
    return this.#options.connection.channel(`follow:${this.#options.kind}`);
  }

  #answersTo(daemon: string): string {
    return this.#options.connection.channel(`followed:${this.#options.kind}:${daemon}`);
  }
}
