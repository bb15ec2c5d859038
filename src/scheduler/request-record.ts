import type { RequestFacts } from "../core/request.ts";
import type { ModelRecord, RequestRecord } from "./state.ts";
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
    parkedOn: null,
    instance: null,
    remote: null,
    dispatchedAt: 0,
    prefilledAt: 0,
    alone: false,
    charged: 0,
    prefillTokens: 0,
    decodeTokens: 0,
    promisedTokens: 0,
    previousUse: 0,
    noticed: false,
    answering: false,
  };
  return request;
}

/** What the first token takes at the very least, by half of what was measured: a deadline nearer than that cannot be met. */
export function leastPrefillMs({ model, expectedPrefill }: RequestRecord): number {
  const { tokens, ms } = model.prefillRate;
  return ms > 0 ? (SAFE_SHARE * expectedPrefill * ms) / tokens : 0;
}

/** Tokens of the longest beginning that any instance holds. */
function longestCached(model: ModelRecord, { prefix, promptTokens }: RequestFacts): number {
  for (let index = prefix.length - 1; index >= 0; index--) {
    const mark = prefix[index];
    if (mark !== undefined && model.prefixes.holders(mark.hash) !== undefined) return Math.min(mark.tokens, promptTokens);
  }
  return 0;
}

/** How long after its arrival others may still come and go first: never longer than the bound on every wait. */
function setBackMs(model: ModelRecord, prefillTokens: number, maxWaitMs: number): number {
  const { tokens, ms } = model.prefillRate;
  return ms > 0 ? Math.min(maxWaitMs, (SET_BACK * prefillTokens * ms) / tokens) : 0;
}
