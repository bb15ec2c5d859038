import type { RequestOutcome } from "../core/request.ts";
import { expectedCompletion } from "./load.ts";
import { emptyPrefixes } from "./prefix/prefix-index.ts";
import { isMeasured, learnRate, prefillPerMs, prefillWaitMs, rate } from "./rates.ts";
import type { InstanceRecord, ModelRecord, Rate, RemotePlace, RemoteRecord, RequestRecord } from "./records.ts";
import { average, learn } from "./structures/average.ts";

/** Tokens per millisecond where nobody has measured any: only the differences between machines count then. */
const PRIOR_RATE = 1;
/** What a load takes there before one was seen, where none was seen here either. */
const UNKNOWN_LOAD_MS = 5_000;
/** As for instances: a miss also delays who comes after, and what is decoded slows an answer a little. */
const MISS_WEIGHT = 3;
const DECODE_SHARE = 0.1;
/** Shorter beginnings are no reason to go where they are cached: all work would, whatever the weights. */
const FEWEST_CACHED = 256;
/** Instances here that are looked at. */
const LOOKED_AT = 8;

/** What is known of a model on another machine. */
export function placeOf(remote: RemoteRecord, model: ModelRecord): RemotePlace {
  let place = remote.places.get(model.name);
  if (place === undefined) {
    place = { inFlight: 0, prefillTokens: 0, prefillRate: rate(), decodeRate: rate(), overheadMs: average(), loadMs: average(), prefixes: emptyPrefixes() };
    remote.places.set(model.name, place);
  }
  return place;
}

export interface Price {
  /** Until the first token, milliseconds; null before anything of the machine was measured. */
  readonly ms: number | null;
  /** What machines are compared by: the same, with a miss counted three times. */
  readonly weighedMs: number;
}

/**
 * What a request would cost on another machine:
 *
 *   way there and back + load, if it is not loaded + (prompt tokens not cached there + ours that wait for their first token) ÷ its rate
 *   + 0.1 × expected answer × time per token × share of its slots that are taken
 */
export function priceOf(remote: RemoteRecord, model: ModelRecord, request: RequestRecord): Price {
  const place = placeOf(remote, model);
  const facts = remote.facts.models.get(model.name);
  const perMs = perMsOf(place.prefillRate) ?? perMsOf(model.remotePrefill) ?? perMsOf(model.prefillRate) ?? PRIOR_RATE;
  const uncached = request.facts.promptTokens - cachedAt(place, model, request);
  const { ms: decodeMs, tokens } = place.decodeRate;
  const taken = facts === undefined ? 0 : Math.min(1, (place.inFlight + (remote.others.get(model.name) ?? 0)) / Math.max(1, facts.slots));
  const answerMs = decodeMs > 0 ? (DECODE_SHARE * taken * expectedCompletion(model, request.facts.maxTokens) * decodeMs) / tokens : 0;
  const loadMs = facts?.loaded === false ? (place.loadMs.value ?? model.averages.loadMs.value ?? UNKNOWN_LOAD_MS) : 0;
  const fixedMs = (place.overheadMs.value ?? 0) + loadMs + place.prefillTokens / perMs + answerMs;
  return { ms: place.prefillRate.ms > 0 ? fixedMs + uncached / perMs : null, weighedMs: fixedMs + (MISS_WEIGHT * uncached) / perMs };
}

/** Until the first token of the request, if it takes a free slot here; null where there is none or nothing was measured. */
export function hereMs(model: ModelRecord, request: RequestRecord, now: number): number | null {
  let least: number | null = null;
  for (let index = 0; index < LOOKED_AT; index++) {
    const instance: InstanceRecord | undefined = model.available.items[index];
    if (instance === undefined) break;
    if (!isMeasured(instance)) continue;
    const { promptTokens, prefix } = request.facts;
    const uncached = promptTokens - Math.min(promptTokens, model.prefixes.cachedTokens(instance, prefix));
    const ms = prefillWaitMs(instance, now) + uncached / prefillPerMs(instance);
    if (least === null || ms < least) least = ms;
  }
  return least;
}

/** The request goes there. */
export function begins(place: RemotePlace, model: ModelRecord, request: RequestRecord, slots: number): void {
  const { facts } = request;
  request.promisedTokens = cachedAt(place, model, request);
  request.prefillTokens = facts.promptTokens - request.promisedTokens;
  // How much it keeps is its own affair; the least is what its slots hold.
  const capacity = Math.max(1, slots) * model.spec.load.contextTokens;
  request.previousTurn = model.remotePrefixes.begin(place, facts.prefix, facts.promptTokens + expectedCompletion(model, facts.maxTokens), capacity);
  place.inFlight += 1;
  place.prefillTokens += request.prefillTokens;
}

/** The first byte of its answer has come. */
export function answers(place: RemotePlace, request: RequestRecord, now: number): void {
  request.answering = true;
  request.prefilledAt = now;
  place.prefillTokens -= request.prefillTokens;
  request.prefillTokens = 0;
}

/** Its answer has ended. Rates and the way there and back are learned from what the engine there tells, else from when bytes came. */
export function ends(place: RemotePlace, model: ModelRecord, request: RequestRecord, outcome: RequestOutcome, wasLoaded: boolean, now: number): void {
  place.inFlight -= 1;
  place.prefillTokens = place.inFlight === 0 ? 0 : place.prefillTokens - request.prefillTokens;
  const { facts, promisedTokens: promised } = request;
  const tip = facts.prefix[facts.prefix.length - 1];
  if (tip !== undefined) model.remotePrefixes.reported(place, tip.hash, request.previousTurn, outcome.promptTokens, outcome.cachedTokens);
  if (tip !== undefined && outcome.end !== "complete" && !request.answering) model.remotePrefixes.forget(place, tip.hash);
  if (outcome.end !== "complete") return;
  const streamed = request.answering && now > request.prefilledAt;
  const promptMs = outcome.promptMs ?? (streamed ? request.prefilledAt - request.dispatchedAt : null);
  const completionMs = outcome.completionMs ?? (streamed ? now - request.prefilledAt : null);
  const prefilled = outcome.promptTokens === null ? facts.promptTokens - promised : outcome.promptTokens - (outcome.cachedTokens ?? 0);
  if (promptMs !== null) for (const known of [place.prefillRate, model.remotePrefill]) learnRate(known, prefilled, promptMs);
  if (completionMs !== null && outcome.completionTokens !== null) learnRate(place.decodeRate, outcome.completionTokens, completionMs);
  if (outcome.completionTokens !== null) learn(model.averages.completionTokens, outcome.completionTokens);
  if (outcome.promptMs === null || outcome.completionMs === null) return;
  const otherMs = Math.max(0, now - request.dispatchedAt - outcome.promptMs - outcome.completionMs);
  learn(wasLoaded ? place.overheadMs : place.loadMs, otherMs);
}

function cachedAt(place: RemotePlace, model: ModelRecord, { facts }: RequestRecord): number {
  const tokens = Math.min(facts.promptTokens, model.remotePrefixes.cachedTokens(place, facts.prefix));
  return tokens < FEWEST_CACHED ? 0 : tokens;
}

const perMsOf = ({ tokens, ms }: Rate): number | null => (ms > 0 ? tokens / ms : null);
