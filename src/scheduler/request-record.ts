import type { RequestFacts } from "../core/request.ts";
import { expectedCompletion } from "./load.ts";
import type { ModelRecord, Rate, RequestRecord } from "./state.ts";
import type { Turn } from "./turn.ts";

/** A prompt yields to those that come within this many times its own prefill after it, and are shorter. */
const SET_BACK = 10;
/** Share of an estimate that a request may be refused on. */
const SAFE_SHARE = 0.5;

/** What the scheduler keeps of a request, as it is at its arrival. */
export function createRequest({ state, now }: Turn, facts: RequestFacts, model: ModelRecord): RequestRecord {
  const expectedPrefill = facts.promptTokens - longestCached(model, facts);
  const setBack = state.policy.shortestFirst ? setBackMs(model, expectedPrefill, state.settings.maxWaitMs) : 0;
  const request: RequestRecord = {
    facts,
    priority: facts.priority,
    tenant: facts.tenant,
    model,
    arrivedAt: now,
    turnAt: now + setBack,
    startBy: startBy(model, facts, expectedPrefill, now + state.settings.maxWaitMs),
    pressing: null,
    expectedPrefill,
    deadline:
      facts.deadlineAt === null
        ? null
        : {
            at: 0,
            heapIndex: -1,
            what: {
              type: "deadline",
              get request() {
                return request;
              },
            },
          },
    heapIndex: -1,
    lane: null,
    serial: 0,
    previous: null,
    next: null,
    groupIndex: -1,
    parkedOn: null,
    instance: null,
    remote: null,
    remoteLoaded: true,
    dispatchedAt: 0,
    prefilledAt: 0,
    prefillMs: null,
    alone: false,
    charged: 0,
    prefillTokens: 0,
    decodeTokens: 0,
    promisedTokens: 0,
    previousTurn: null,
    noticed: false,
    answering: false,
  };
  return request;
}

/** What the first token takes at the very least, by half of what was measured: a deadline nearer than that cannot be met. */
export const leastPrefillMs = ({ model, expectedPrefill }: RequestRecord): number => SAFE_SHARE * msFor(model.prefillRate, expectedPrefill);

/**
 * When the request has to begin so that its answer is whole by its deadline, by the model's measured rates. A time after
 * `until` says nothing: by then nobody who comes later goes first any more. Official clients send a time-out of minutes
 * with every request.
 */
function startBy(model: ModelRecord, { deadlineAt, maxTokens }: RequestFacts, prefillTokens: number, until: number): number {
  if (deadlineAt === null) return Number.POSITIVE_INFINITY;
  const at = deadlineAt - msFor(model.prefillRate, prefillTokens) - msFor(model.decodeRate, expectedCompletion(model, maxTokens));
  return at <= until ? at : Number.POSITIVE_INFINITY;
}

const msFor = ({ tokens, ms }: Rate, count: number): number => (tokens > 0 ? (count * ms) / tokens : 0);

/** Tokens of the longest beginning that any instance holds. */
function longestCached(model: ModelRecord, { prefix, promptTokens }: RequestFacts): number {
  for (let index = prefix.length - 1; index >= 0; index--) {
    const mark = prefix[index];
    if (mark !== undefined && model.prefixes.holders(mark.hash) !== undefined) return Math.min(mark.tokens, promptTokens);
  }
  return 0;
}

/** How long after its arrival others may still come and go first: never longer than the bound on every wait. */
const setBackMs = (model: ModelRecord, prefillTokens: number, maxWaitMs: number): number =>
  Math.min(maxWaitMs, SET_BACK * msFor(model.prefillRate, prefillTokens));
