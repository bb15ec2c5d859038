import type { ApiKey } from "../../core/config.ts";
import { AssistantError } from "../../core/errors.ts";
import { TokenBucket } from "./token-bucket.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
/** Weight of the newest request in the averages used as estimates for running ones. */
const NEWEST = 0.2;
/** Expected use of a request before the first of its key has ended. */
const FIRST_TOKENS = 256;

/** Current use of one key. */
interface State {
  inFlight: number;
  /** Recent averages of a request's duration, milliseconds, and of its use; null before the first has ended. */
  meanMs: number | null;
  meanTokens: number | null;
  /** When its last requests began, as many as it may begin in a minute: a ring, the oldest at `next`. */
  begun: Float64Array;
  next: number;
  readonly tokens: TokenBucket;
  /** Day of the two counts: days since 1970, UTC. */
  day: number;
  requestsOfDay: number;
  tokensOfDay: number;
}

/** The state of one limit: how much is allowed, how much remains, and when all of it will be available. */
export interface LimitState {
  readonly limit: number;
  readonly remaining: number;
  readonly resetMs: number;
}

/** The tightest limits of a key; null: there is none of that kind. */
export interface LimitStates {
  readonly requests: LimitState | null;
  readonly tokens: LimitState | null;
}

/** What a key has already used on a day. */
interface DayUse {
  readonly requests: number;
  readonly tokens: number;
}

export interface KeyLimitsOptions {
  /** Monotonic milliseconds. */
  readonly now?: () => number;
  /** Epoch milliseconds. */
  readonly wallNow?: () => number;
  /** Today's use of this key's name before this daemon started, so that a restart resets nothing. Default: nothing. */
  readonly usedToday?: (name: string) => DayUse;
}

/** Counts the requests of each key against the key's own limits. One for all listeners, and kept across reloads. */
export class KeyLimits {
  readonly #states = new Map<string, State>();
  readonly #options: Required<KeyLimitsOptions>;

  constructor(options: KeyLimitsOptions = {}) {
    this.#options = {
      now: () => performance.now(),
      wallNow: () => Date.now(),
      usedToday: () => ({ requests: 0, tokens: 0 }),
      ...options,
    };
  }

  /**
   * Admits a request. Returns a function to call, once, when it has ended; null if the key has no limits. `report`
   * receives the limits at that time, also before a refusal, if there are any of requests or tokens. Throws
   * `rate_limit_exceeded` with the seconds after which there is likely (in flight) or certainly room.
   */
  admit(key: ApiKey | null, report?: (states: LimitStates) => void): (() => void) | null {
    if (key === null || !isLimited(key)) return null;
    const state = this.#stateOf(key);
    const now = this.#options.now();
    const isCounted = report !== undefined && hasRates(key);
    try {
      this.#require(key, state, now);
    } catch (error) {
      if (isCounted) report(this.#stand(key, state, now));
      throw error;
    }
    begin(state, now);
    const reserved = state.meanTokens ?? FIRST_TOKENS;
    state.inFlight += 1;
    state.requestsOfDay += 1;
    state.tokens.reserve(reserved);
    if (isCounted) report(this.#stand(key, state, now));
    return () => {
      state.inFlight -= 1;
      state.meanMs = mixed(state.meanMs, this.#options.now() - now);
      state.tokens.release(reserved);
    };
  }

  /**
   * Counts requests that are accepted now and answered later: all of them, or none. Returns a function that undoes this
   * if they are not accepted after all. Throws like `admit`.
   */
  admitLater(key: ApiKey | null, count: number): () => void {
    if (key === null || !isLimited(key)) return () => {};
    const state = this.#stateOf(key);
    const now = this.#options.now();
    this.#require(key, state, now, count);
    const { day } = state;
    state.requestsOfDay += count;
    for (let left = Math.min(count, state.begun.length); left > 0; left--) begin(state, now);
    return () => {
      if (state.day === day) state.requestsOfDay -= count;
      takeBack(state, now, count);
    };
  }

  /** A request of the tenant has used this many tokens, on any API. */
  count(tenant: string, tokens: number): void {
    const state = this.#states.get(tenant);
    if (state === undefined || tokens === 0) return;
    state.meanTokens = mixed(state.meanTokens, tokens);
    state.tokens.use(tokens);
    state.tokensOfDay += tokens;
  }

  #require(key: ApiKey, state: State, now: number, count = 1): void {
    const { maxInFlight, requestsPerMinute = count, requestsPerDay = count, tokensPerMinute, tokensPerDay } = key;
    if (count > requestsPerMinute) throw tooManyAtOnce(key, `${requestsPerMinute} requests a minute`, count);
    if (count > requestsPerDay) throw tooManyAtOnce(key, `${requestsPerDay} requests a day`, count);
    if (maxInFlight !== undefined && state.inFlight >= maxInFlight) {
      const waitMs = state.meanMs === null ? 1_000 : state.meanMs / state.inFlight;
      throw tooMany(key, `${maxInFlight} requests at once`, waitMs);
    }
    if (state.begun.length > 0) {
      const freeAt = (state.begun[(state.next + count - 1) % state.begun.length] as number) + MINUTE_MS;
      if (now < freeAt) throw tooMany(key, `${state.begun.length} requests a minute`, freeAt - now);
    }
    if (tokensPerMinute !== undefined && state.tokens.remaining(tokensPerMinute, now) < 1)
      throw tooMany(key, `${tokensPerMinute} tokens a minute`, state.tokens.waitMs(tokensPerMinute, now));
    if (key.requestsPerDay !== undefined && state.requestsOfDay + count > requestsPerDay)
      throw tooMany(key, `${requestsPerDay} requests a day`, this.#restOfDayMs());
    if (tokensPerDay !== undefined && state.tokensOfDay + this.#running(state) >= tokensPerDay)
      throw tooMany(key, `${tokensPerDay} tokens a day`, this.#restOfDayMs());
  }

  #stand(key: ApiKey, state: State, now: number): LimitStates {
    const { requestsPerMinute, requestsPerDay, tokensPerMinute, tokensPerDay } = key;
    const ofDay = (limit: number, used: number): LimitState => ({
      limit,
      remaining: Math.max(0, Math.floor(limit - used)),
      resetMs: this.#restOfDayMs(),
    });
    return {
      requests: narrower(
        requestsPerMinute === undefined ? null : requestsOfMinute(state.begun, now),
        requestsPerDay === undefined ? null : ofDay(requestsPerDay, state.requestsOfDay),
      ),
      tokens: narrower(
        tokensPerMinute === undefined
          ? null
          : {
              limit: tokensPerMinute,
              remaining: Math.max(0, Math.floor(state.tokens.remaining(tokensPerMinute, now))),
              resetMs: state.tokens.resetMs(tokensPerMinute, now),
            },
        tokensPerDay === undefined ? null : ofDay(tokensPerDay, state.tokensOfDay + this.#running(state)),
      ),
    };
  }

  /** The expected use of running requests. */
  #running = ({ inFlight, meanTokens }: State): number => inFlight * (meanTokens ?? FIRST_TOKENS);

  #restOfDayMs(): number {
    return DAY_MS - (this.#options.wallNow() % DAY_MS);
  }

  /** By the key itself: two keys with one name, as while a key is replaced, each have their own. */
  #stateOf({ name, sha256, account = sha256, requestsPerMinute = 0 }: ApiKey): State {
    const day = Math.floor(this.#options.wallNow() / DAY_MS);
    let state = this.#states.get(account);
    if (state === undefined) {
      const { requests, tokens } = this.#options.usedToday(name);
      state = {
        inFlight: 0,
        meanMs: null,
        meanTokens: null,
        begun: new Float64Array(0),
        next: 0,
        tokens: new TokenBucket(this.#options.now()),
        day,
        requestsOfDay: requests,
        tokensOfDay: tokens,
      };
      this.#states.set(account, state);
    }
    if (state.day !== day) Object.assign(state, { day, requestsOfDay: 0, tokensOfDay: 0 });
    if (state.begun.length !== requestsPerMinute) {
      state.begun = resized(state, requestsPerMinute);
      state.next = 0;
    }
    return state;
  }
}

const hasRates = ({ requestsPerMinute, requestsPerDay, tokensPerMinute, tokensPerDay }: ApiKey): boolean =>
  (requestsPerMinute ?? requestsPerDay ?? tokensPerMinute ?? tokensPerDay) !== undefined;
const isLimited = (key: ApiKey): boolean => key.maxInFlight !== undefined || hasRates(key);

const mixed = (mean: number | null, newest: number): number =>
  mean === null ? newest : mean + NEWEST * (newest - mean);

const narrower = (minute: LimitState | null, day: LimitState | null): LimitState | null =>
  minute === null || (day !== null && day.remaining < minute.remaining) ? day : minute;

function begin(state: State, now: number): void {
  if (state.begun.length === 0) return;
  state.begun[state.next] = now;
  state.next = (state.next + 1) % state.begun.length;
}

/** Forgets this many of the requests that began at a time. */
function takeBack(state: State, at: number, count: number): void {
  let left = count;
  const kept = inOrder(state).filter((begunAt) => begunAt !== at || left-- <= 0);
  state.begun = filled(kept, state.begun.length);
  state.next = 0;
}

function requestsOfMinute(begun: Float64Array, now: number): LimitState {
  const recent = begun.filter((at) => at > now - MINUTE_MS);
  const newest = recent.reduce((last, at) => Math.max(last, at), now - MINUTE_MS);
  return { limit: begun.length, remaining: begun.length - recent.length, resetMs: newest + MINUTE_MS - now };
}

/** The newest of the old ring, oldest first, after unused places: a reload resets nothing. */
const resized = (state: State, length: number): Float64Array =>
  filled(inOrder(state).slice(Math.max(0, state.begun.length - length)), length);

const inOrder = ({ begun, next }: State): number[] => [...begun.subarray(next), ...begun.subarray(0, next)];

function filled(times: readonly number[], length: number): Float64Array {
  const ring = new Float64Array(length).fill(-Infinity);
  ring.set(times, length - times.length);
  return ring;
}

const tooMany = ({ name }: ApiKey, limit: string, waitMs: number): AssistantError =>
  new AssistantError("rate_limit_exceeded", `The API key "${name}" is limited to ${limit}.`, {
    remedy: "Wait as long as Retry-After says, or have the key's limit raised.",
    retryAfterS: Math.max(1, Math.ceil(waitMs / 1_000)),
  });

/** Waiting would not help. */
const tooManyAtOnce = ({ name }: ApiKey, limit: string, count: number): AssistantError =>
  new AssistantError("rate_limit_exceeded", `The API key "${name}" is limited to ${limit}; found ${count} at once.`, {
    remedy: "Send fewer at once, or have the key's limit raised.",
  });
