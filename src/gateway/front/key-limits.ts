import type { ApiKey } from "../../core/config.ts";
import { AssistantError } from "../../core/errors.ts";

const MINUTE_MS = 60_000;
/** Weight of the newest duration in the mean that promises when a place will be free. */
const NEWEST = 0.2;

/** What one key has in use. */
interface State {
  inFlight: number;
  /** Recent mean of how long its requests take, milliseconds; null before the first has ended. */
  meanMs: number | null;
  /** When its last requests began, as many as it may begin in a minute: a ring, the oldest at `next`. */
  begun: Float64Array;
  next: number;
}

/** Counts the requests of each key against the key's own limits. One for all listeners, and kept over reloads. */
export class KeyLimits {
  readonly #states = new Map<string, State>();
  readonly #now: () => number;

  /** `now`: monotonic milliseconds. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /**
   * Lets a request begin. Returns what must be called, once, when it has ended; null where the key has no limits.
   * Throws `rate_limit_exceeded` with the seconds after which there is likely (in flight) or surely (per minute) room.
   */
  admit(key: ApiKey | null): (() => void) | null {
    if (key === null || (key.maxInFlight === undefined && key.requestsPerMinute === undefined)) return null;
    const state = this.#stateOf(key);
    const now = this.#now();
    if (key.maxInFlight !== undefined && state.inFlight >= key.maxInFlight) {
      const waitMs = state.meanMs === null ? 1_000 : state.meanMs / state.inFlight;
      throw tooMany(key, `${key.maxInFlight} requests at once`, waitMs);
    }
    if (state.begun.length > 0) {
      const freeAt = (state.begun[state.next] as number) + MINUTE_MS;
      if (now < freeAt) throw tooMany(key, `${state.begun.length} requests a minute`, freeAt - now);
      state.begun[state.next] = now;
      state.next = (state.next + 1) % state.begun.length;
    }
    state.inFlight += 1;
    return () => {
      state.inFlight -= 1;
      const took = this.#now() - now;
      state.meanMs = state.meanMs === null ? took : state.meanMs + NEWEST * (took - state.meanMs);
    };
  }

  /** By the key itself: of two keys with one name, as while a key is replaced, each has its own. */
  #stateOf({ sha256, requestsPerMinute = 0 }: ApiKey): State {
    let state = this.#states.get(sha256);
    if (state === undefined) {
      state = { inFlight: 0, meanMs: null, begun: new Float64Array(0), next: 0 };
      this.#states.set(sha256, state);
    }
    if (state.begun.length !== requestsPerMinute) {
      state.begun = resized(state, requestsPerMinute);
      state.next = 0;
    }
    return state;
  }
}

/** The newest of the old ring, oldest first, behind places that were never taken: a reload forgives nothing. */
function resized({ begun, next }: State, length: number): Float64Array {
  const kept = [...begun.subarray(next), ...begun.subarray(0, next)].slice(Math.max(0, begun.length - length));
  const ring = new Float64Array(length).fill(-Infinity);
  ring.set(kept, length - kept.length);
  return ring;
}

const tooMany = ({ name }: ApiKey, limit: string, waitMs: number): AssistantError =>
  new AssistantError("rate_limit_exceeded", `The API key "${name}" is limited to ${limit}.`, {
    remedy: "Wait as long as Retry-After says, or raise the limit of its entry under `[[server.api_key_sha256]]`.",
    retryAfterS: Math.max(1, Math.ceil(waitMs / 1_000)),
  });
