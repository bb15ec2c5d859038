import { matches } from "../core/capability-query.ts";
import type { AssistantError } from "../core/errors.ts";
import type { RequestFacts, RequestOutcome } from "../core/request.ts";
import { type Cost, costOf } from "./cost.ts";
import { grant, rejectWaiting, unqueue } from "./lifecycle.ts";
import type { NodeTarget } from "./node.ts";
import type { InstanceRecord, ModelRecord, RequestRecord } from "./records.ts";
import { arm, disarm, refusal, type Turn } from "./state.ts";
import { type Target, Work } from "./target.ts";
import { secondsOf, waitEstimate } from "./waits.ts";

/** A request that was forwarded this often is served locally, so that nodes that list each other do not loop. */
const MAX_HOPS = 4;
const MIN_PAUSE_MS = 250;
const MAX_PAUSE_MS = 8_000;
/** Retry-After, in seconds, if a node is down. */
const RETRY_S = 2;
/** Nodes within this factor and these milliseconds of the fastest share the work by weight. */
const ALIKE = 1.25;
const ALIKE_MS = 250;
/** Another node must be faster by this factor, since estimates are inexact. */
const MARGIN = 1.1;
/** Maximum number of places to skip when choosing from a queue: listing more takes long. */
const MAX_SKIPPED = 64;
/** Nodes with a free slot that are compared: thousands of workers may share a name. */
const MAX_COMPARED = 32;
/** Local instances that are considered. */
const LOOKED_AT = 8;

/**
 * Sends a new request to another node if even the best local instance is at max_load and, as far as both were measured,
 * the node would give the first token sooner. False: it stays.
 */
export function forwardAtOnce(turn: Turn, request: RequestRecord): boolean {
  const { model } = request;
  if (model.nodes.size === 0) return false;
  const least = model.available.peek();
  if (least === undefined || least.load < turn.state.settings.maxLoad) return false;
  const offer = choose(turn, request);
  if (offer === null) return false;
  const { target, cost } = offer;
  const isSooner = (instance: InstanceRecord): boolean =>
    instance.isMeasured && estimate(turn, instance, request).firstTokenMs < cost.firstTokenMs * MARGIN;
  if (target.isMeasured && model.available.items.slice(0, LOOKED_AT).some(isSooner)) return false;
  give(turn, request, target);
  return true;
}

/** Sends the request to another node. False: none can take it now. */
export function forward(turn: Turn, request: RequestRecord): boolean {
  const offer = choose(turn, request);
  if (offer !== null) give(turn, request, offer.target);
  return offer !== null;
}

const estimate = (turn: Turn, target: Target, request: RequestRecord): Cost =>
  costOf(target, request, target.cachedTokens(request.facts), turn.now);

function give(turn: Turn, request: RequestRecord, target: NodeTarget): void {
  const { facts, model } = request;
  target.node.turns = target.node.turnsAfter;
  const decodeTokens = model.expectedCompletion(facts.maxTokens);
  grant(turn, request, new Work(target, facts, target.cachedTokens(facts), decodeTokens, turn.now));
}

/**
 * Forwards waiting requests of a model, from the front. While no instance is ready, as many requests stay as the
 * loading ones have slots. Once one is ready, the rest may use nodes with a free slot.
 */
export function overflow(turn: Turn, model: ModelRecord): void {
  const { serving, coming, slots } = model.supply;
  const kept = serving === 0 ? coming.reduce((sum, instance) => sum + instance.slots, 0) : 0;
  const perPlaceMs = slots > 0 ? (waitEstimate(model, turn.now)?.perPlaceMs ?? null) : null;
  sendAway(turn, model, model.queue.size - kept, perPlaceMs);
}

/**
 * Nothing here will serve the model soon: its requests go to other nodes, or wait for them; those that may not are
 * refused.
 */
export function giveUp(turn: Turn, model: ModelRecord, refused: () => AssistantError): void {
  sendAway(turn, model, model.queue.size, null);
  for (const request of [...model.queue])
    if (!mayForward(turn, model, request.facts)) rejectWaiting(turn, request, refused());
}

/**
 * `perPlaceMs`: time between two turns of the queue here, null if unknown. Requests whose turn here comes before a
 * first token there stay; the next one after them is forwarded.
 */
function sendAway(turn: Turn, model: ModelRecord, most: number, perPlaceMs: number | null): void {
  // Check for room first: listing the queue is expensive, and this runs on every event of a busy model.
  if (model.removed || most <= 0 || !(hasRoom(turn, model, ANY) || hasReservations(model))) return;
  let left = most;
  let place = 0;
  let from = 0;
  for (const request of model.queue.inOrder(() => from)) {
    place = Math.max(place + 1, from);
    const offer = choose(turn, request);
    // A full node is full for all requests; only hop lists, capabilities and reservations differ between them.
    if (offer === null && isUnrestricted(request.facts) && !hasReservations(model)) return;
    if (offer === null) continue;
    if (perPlaceMs !== null && offer.target.isMeasured) {
      const thereMs = offer.cost.firstTokenMs * MARGIN;
      if (thereMs > perPlaceMs * model.queue.size) return;
      from = Math.min(MAX_SKIPPED, Math.ceil(thereMs / perPlaceMs));
      if (place < from) continue;
    }
    unqueue(turn, request);
    turn.state.dirty.add(model);
    give(turn, request, offer.target);
    left -= 1;
    if (left <= 0) return;
  }
}

/** The parts of a request that determine where it may go. */
type Restrictions = Pick<RequestFacts, "hops" | "capabilities" | "reservation" | "slotless">;
const ANY: Restrictions = {};

const isUnrestricted = ({ hops = [], capabilities }: Restrictions): boolean =>
  hops.length === 0 && capabilities === undefined;

/**
 * Whether the request has not been there, finds the capabilities it requires, and, if it reserved a place, has it
 * there.
 */
const suits = ({ node, facts, model }: NodeTarget, { hops = [], capabilities, reservation }: Restrictions): boolean =>
  !hops.includes(node.facts.nodeId) &&
  (capabilities === undefined || matches(capabilities, facts.capabilities ?? model.spec.capabilities)) &&
  (reservation === undefined || facts.reservations?.has(reservation) === true);

/**
 * Whether another node may take the request now or later: it is up, has the model, is not paused for long, and the hop
 * list allows it.
 */
export function mayForward({ state, now }: Turn, model: ModelRecord, request: Restrictions): boolean {
  const { hops = [] } = request;
  if (model.nodes.size === 0 || hops.length >= MAX_HOPS || hops.includes(state.nodeId)) return false;
  for (const target of model.nodes.values())
    if (target.node.facts.up && pauseMs(target, now) <= MAX_PAUSE_MS && suits(target, request)) return true;
  return false;
}

function hasReservations(model: ModelRecord): boolean {
  for (const { facts } of model.nodes.values()) if (facts.reservations !== undefined) return true;
  return false;
}

/** Milliseconds until a target gets work again. */
const pauseMs = ({ pause }: NodeTarget, now: number): number => (pause.armed ? Math.max(0, pause.at - now) : 0);

/** Whether another node would take the request now. */
export const takesNow = (turn: Turn, model: ModelRecord, facts: RequestFacts): boolean =>
  mayForward(turn, model, facts) && hasRoom(turn, model, facts);

/** Why a model that only other nodes have cannot be served. */
export function unreachable({ state, now }: Turn, model: ModelRecord): AssistantError {
  const { name, spec } = model;
  const names = spec.nodes ?? [];
  const nodes = names.flatMap((node) => state.nodes.get(node)?.facts ?? []);
  const down = nodes.find(({ up, down: reason }) => !up && reason)?.down;
  if (down) return refusal(down.code, down.message, down.remedy, RETRY_S);
  const paused = [...model.nodes.values()].filter((target) => pauseMs(target, now) > MAX_PAUSE_MS);
  const [soonest] = paused.sort((a, b) => pauseMs(a, now) - pauseMs(b, now));
  const reason = soonest?.pauseReason;
  if (soonest !== undefined && reason)
    return refusal(reason.code, reason.message, reason.remedy, secondsOf(pauseMs(soonest, now)));
  const quoted = names.map((node) => `"${node}"`).join(", ");
  switch (spec.source.type) {
    case "worker": {
      const message = `No worker serves "${name}" to this request now`;
      return refusal("worker_unavailable", message, "`assistant worker list` shows the workers.", RETRY_S);
    }
    case "pipeline": {
      const message = `The pipeline "${name}" calls itself, directly or through other pipelines`;
      return refusal("stage_failed", message, "Name another model in the stage.");
    }
    case "provider": {
      const message = `Model "${name}" is served by ${quoted}, which is not in use`;
      return refusal("provider_unavailable", message, "`assistant provider list` shows the providers.", RETRY_S);
    }
    default: {
      const isUp = nodes.some(({ up }) => up);
      const why = isUp ? "and the request has been forwarded already" : "which cannot be reached now";
      const message = `Model "${name}" is on the remote server ${quoted} alone, ${why}`;
      return refusal("node_unavailable", message, "`assistant node list` shows their status.", RETRY_S);
    }
  }
}

/** The answer of another node has ended, successfully or not. */
export function nodeFinished(turn: Turn, work: Work, target: NodeTarget, outcome: RequestOutcome): void {
  const { state, now } = turn;
  const { facts } = target.node;
  // A node with a limit over all its models may have been full for the others.
  if (facts.maxInFlight !== undefined)
    for (const name of facts.models.keys()) {
      const model = state.models.get(name);
      if (model !== undefined && model.queue.size > 0) state.dirty.add(model);
    }
  if (outcome.end === "engine-error") {
    target.pauseMs = Math.min(MAX_PAUSE_MS, Math.max(MIN_PAUSE_MS, 2 * target.pauseMs));
    arm(turn, target.pause, now + Math.max(target.pauseMs, outcome.pause?.ms ?? 0));
    target.pauseReason = outcome.pause ?? null;
  } else if (outcome.end === "complete") {
    target.pauseMs = 0;
    disarm(turn, target.pause);
    target.learnFrom(work, outcome, now);
  }
}

interface Offer {
  readonly target: NodeTarget;
  readonly cost: Cost;
}

/**
 * Whether a node takes a request now: it is up, not paused, not full, and the request has not been there. A request
 * with a reservation there may use it.
 */
const isOpen = (target: NodeTarget, request: Restrictions, now: number): boolean => {
  const { node, pause, load } = target;
  const isFree = request.reservation !== undefined || ((load < 1 || request.slotless === true) && !node.isFull);
  return node.facts.up && isFree && !(pause.armed && pause.at > now) && suits(target, request);
};

function hasRoom({ now }: Turn, model: ModelRecord, request: Restrictions): boolean {
  for (const target of model.nodes.values()) if (isOpen(target, request, now)) return true;
  return false;
}

/**
 * The node for a request: of those that are up and have the model and a free slot for it, the one with the lowest cost.
 * Among those of similar cost, first the ones below max_load, then the one furthest behind its share by weight. A node
 * with weight 0 is used only if there is no other.
 */
function choose(turn: Turn, request: RequestRecord): Offer | null {
  const { model, facts } = request;
  const { maxLoad } = turn.state.settings;
  if (!mayForward(turn, model, facts)) return null;
  const open: NodeTarget[] = [];
  for (const target of model.nodes.values()) {
    if (isOpen(target, facts, turn.now)) open.push(target);
    if (open.length >= MAX_COMPARED) break;
  }
  const weighted = open.filter(({ node }) => node.facts.weight > 0);
  const offers = (weighted.length > 0 ? weighted : open).map((target) => ({
    target,
    cost: estimate(turn, target, request),
  }));
  const least = Math.min(...offers.map(({ cost }) => cost.weighedMs));
  const alike = offers.filter(({ cost }) => cost.weighedMs <= least * ALIKE + ALIKE_MS);
  alike.sort(
    (a, b) =>
      Number(a.target.load >= maxLoad) - Number(b.target.load >= maxLoad) ||
      a.target.node.turnsAfter - b.target.node.turnsAfter,
  );
  return alike[0] ?? null;
}
