import { matches } from "../core/capability-query.ts";
import type { ModelSpec } from "../core/model.ts";
import type { RequestFacts, RequestOutcome } from "../core/request.ts";
import { type Cost, costOf } from "./cost.ts";
import type { Refusal } from "./effects.ts";
import type { RemoteChange } from "./events.ts";
import { rejectAll, rejectWaiting, unqueue } from "./lifecycle.ts";
import { secondsOf, waitEstimate } from "./limits.ts";
import { ModelRecord, NodeRecord, NodeTarget, type RequestRecord } from "./records.ts";
import type { SchedulerState } from "./state.ts";
import { learn } from "./structures/average.ts";
import { Work } from "./target.ts";
import { arm, disarm, refusal, type Turn } from "./turn.ts";

/** A request that was forwarded this often is served where it is: lists of nodes that name each other end somewhere. */
const MAX_HOPS = 4;
const MIN_PAUSE_MS = 250;
const MAX_PAUSE_MS = 8_000;
/** Nodes that would be about as quick share the work by weight: within this factor and these milliseconds of the quickest. */
const ALIKE = 1.25;
const ALIKE_MS = 250;
/** To go elsewhere must be quicker by this factor: estimates are estimates. */
const MARGIN = 1.1;
/** Places of a queue that are passed over for one that is worth sending: to list more takes long. */
const MAX_SKIPPED = 64;
/** Instances here that are looked at. */
const LOOKED_AT = 8;

/** Takes over what was measured. Requests that wait for what has become free go there at the end of this decision. */
export function remotesChanged(turn: Turn, { nodeId, candidates, models }: RemoteChange): void {
  const { state } = turn;
  state.nodeId = nodeId;
  const names = new Set(candidates.map(({ name }) => name));
  for (const name of state.nodes.keys()) if (!names.has(name)) state.nodes.delete(name);
  const least = Math.min(...[...state.nodes.values()].filter(({ facts }) => facts.up).map(({ turns }) => turns));
  for (const facts of candidates) {
    const node = state.nodes.get(facts.name) ?? new NodeRecord(facts);
    state.nodes.set(facts.name, node);
    // Who was away has no claim on what the others got meanwhile.
    if (facts.up && (!node.facts.up || node.turns === 0) && Number.isFinite(least))
      node.turns = Math.max(node.turns, least);
    // Another daemon, or one that was away, has nothing of what it had.
    const isFresh = !facts.up || facts.nodeId !== node.facts.nodeId;
    node.facts = facts;
    if (!isFresh) continue;
    for (const model of state.models.values()) {
      const target = model.nodes.get(node.name);
      if (target !== undefined) model.nodePrefixes.clear(target);
    }
  }
  takeModels(turn, models);
  for (const model of state.models.values()) {
    meetNodes(state, model);
    if (model.queue.size > 0) state.dirty.add(model);
  }
}

/** Brings what other nodes have of the model up to date. A target whose node or model there is gone is forgotten; its requests end all the same. */
export function meetNodes(state: SchedulerState, model: ModelRecord): void {
  for (const [name, target] of model.nodes) {
    if (state.nodes.get(name)?.facts.models.has(model.name)) continue;
    model.nodePrefixes.clear(target);
    model.nodes.delete(name);
  }
  for (const node of state.nodes.values()) {
    const facts = node.facts.models.get(model.name);
    if (facts === undefined) continue;
    const known = model.nodes.get(node.name);
    const target = known?.node === node ? known : new NodeTarget(node, model, facts);
    model.nodes.set(node.name, target);
    target.facts = facts;
    target.others = Math.max(0, facts.inFlight - target.inFlight.size);
  }
}

/** Models that only other nodes have come and go with what those report. */
function takeModels(turn: Turn, specs: readonly ModelSpec[]): void {
  const { state } = turn;
  const wanted = new Set(specs.map(({ name }) => name));
  for (const model of [...state.models.values()]) {
    if (!model.isDiscovered || wanted.has(model.name)) continue;
    rejectAll(
      turn,
      model,
      refusal("model_not_found", `No remote server or provider has the model "${model.name}" any longer`),
    );
    state.models.delete(model.name);
  }
  for (const spec of specs) {
    const model = state.models.get(spec.name) ?? new ModelRecord(spec);
    state.models.set(spec.name, model);
    if (model.isDiscovered) model.spec = spec;
    model.queue.maxWaitMs = state.settings.maxWaitMs;
  }
}

/**
 * Sends a request that has just come to another node, if even the best instance here is at max_load and, as far as
 * both were measured, the other node gives the first token sooner all the same. False: it stays.
 */
export function forwardAtOnce(turn: Turn, request: RequestRecord): boolean {
  const { model } = request;
  if (model.nodes.size === 0) return false;
  const least = model.available.peek();
  if (least === undefined || least.load < turn.state.settings.maxLoad) return false;
  const offer = choose(turn, request);
  if (offer === null) return false;
  const here = offer.target.isMeasured ? hereMs(model, request, turn.now) : null;
  if (here !== null && here < offer.cost.firstTokenMs * MARGIN) return false;
  give(turn, request, offer.target);
  return true;
}

/** Until the first token of the request, if it takes a free slot here; null where nothing was measured. */
function hereMs({ available }: ModelRecord, request: RequestRecord, now: number): number | null {
  const measured = available.items.slice(0, LOOKED_AT).filter(({ isMeasured }) => isMeasured);
  const times = measured.map(
    (instance) => costOf(instance, request, instance.cachedTokens(request.facts), now).firstTokenMs,
  );
  return times.length > 0 ? Math.min(...times) : null;
}

/** Turns that a node will have had with one more; of two without any, the one with more weight comes first. */
const turnAfter = ({ turns, facts }: NodeRecord): number => turns + 1 / Math.max(1, facts.weight);

function give(turn: Turn, request: RequestRecord, target: NodeTarget): void {
  target.node.turns = turnAfter(target.node);
  request.stage = new NodeWork(target, request, turn.now);
  turn.effects.push({
    type: "dispatch",
    requestId: request.facts.id,
    targetId: target.id,
    queuedMs: turn.now - request.arrivedAt,
  });
}

/** A request on another node; whether that had the model loaded when it came says what its time there means. */
class NodeWork extends Work {
  readonly wasLoaded: boolean;

  constructor(target: NodeTarget, { facts, model }: RequestRecord, now: number) {
    super(target, facts, target.cachedTokens(facts), model.expectedCompletion(facts.maxTokens), now);
    this.wasLoaded = target.facts.loaded;
  }
}

/**
 * Sends waiting requests of a model away, from the front. What is loading here is worth waiting for while nothing runs
 * yet: as many requests stay as it has slots. Once an instance runs, a node with a free slot need not wait for another.
 */
export function overflow(turn: Turn, model: ModelRecord): void {
  const { serving, coming, slots } = model.supply;
  const kept = serving === 0 ? coming.reduce((sum, instance) => sum + instance.slots, 0) : 0;
  sendAway(
    turn,
    model,
    model.queue.size - kept,
    slots > 0 ? (waitEstimate(model, turn.now)?.perPlaceMs ?? null) : null,
  );
}

/** Nothing here will serve the model soon: its requests go to other nodes, or wait for them; those that may not are refused. */
export function giveUp(turn: Turn, model: ModelRecord, refused: Refusal): void {
  sendAway(turn, model, model.queue.size, null);
  for (const request of [...model.queue])
    if (!mayForward(turn, model, request.facts)) rejectWaiting(turn, request, refused);
}

/**
 * `perPlaceMs`: after how long each place of the queue has its turn here, null where nothing says so. Who has his turn
 * sooner here than a first token there stays, and the next one after him goes.
 */
function sendAway(turn: Turn, model: ModelRecord, most: number, perPlaceMs: number | null): void {
  // Whether any has room is asked first: to list the queue costs more, and it comes to that with every event of a busy model.
  if (model.removed || most <= 0 || !hasRoom(turn, model, ANY)) return;
  let left = most;
  let place = 0;
  let from = 0;
  for (const request of model.queue) {
    place += 1;
    if (place < from) continue;
    const offer = choose(turn, request);
    // Nodes that are full are full for all; only hop lists and capabilities differ between requests.
    if (offer === null && (request.facts.hops ?? []).length === 0 && request.facts.capabilities === undefined) return;
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

/** What says of a request where it may go. */
type Restrictions = Pick<RequestFacts, "hops" | "capabilities">;
const ANY: Restrictions = {};

/** Whether the request has not been there, and is offered there what it asks for. */
const suits = ({ node, facts, model }: NodeTarget, { hops = [], capabilities }: Restrictions): boolean =>
  !hops.includes(node.facts.nodeId) &&
  (capabilities === undefined || matches(capabilities, facts.capabilities ?? model.spec.capabilities));

/** Whether another node may take the request sooner or later: it is up, has the model, was not asked to be left alone, and the hop list allows it. */
export function mayForward({ state, now }: Turn, model: ModelRecord, request: Restrictions): boolean {
  const { hops = [] } = request;
  if (model.nodes.size === 0 || hops.length >= MAX_HOPS || hops.includes(state.nodeId)) return false;
  for (const target of model.nodes.values())
    if (target.node.facts.up && pauseMs(target, now) <= MAX_PAUSE_MS && suits(target, request)) return true;
  return false;
}

/** Milliseconds for which a target gets no work. */
const pauseMs = ({ pause }: NodeTarget, now: number): number => (pause.armed ? Math.max(0, pause.at - now) : 0);

/** Whether another node would take the request now. */
export const takesNow = (turn: Turn, model: ModelRecord, facts: RequestFacts): boolean =>
  mayForward(turn, model, facts) && hasRoom(turn, model, facts);

/** Why a model that only other nodes have cannot be served. */
export function unreachable({ state, now }: Turn, model: ModelRecord): Refusal {
  const names = model.spec.nodes ?? [];
  const quoted = names.map((name) => `"${name}"`).join(", ");
  const nodes = names.flatMap((name) => state.nodes.get(name) ?? []);
  const down = nodes.map(({ facts }) => (facts.up ? null : (facts.down ?? null))).find((reason) => reason !== null);
  if (down !== undefined) return refusal(down.code, down.message, down.remedy, secondsOf(2_000));
  const paused = [...model.nodes.values()].filter((target) => pauseMs(target, now) > MAX_PAUSE_MS);
  const [soonest] = paused.sort((a, b) => pauseMs(a, now) - pauseMs(b, now));
  const reason = soonest?.pauseReason;
  if (soonest !== undefined && reason)
    return refusal(reason.code, reason.message, reason.remedy, secondsOf(pauseMs(soonest, now)));
  if (model.spec.source.type === "provider")
    return refusal(
      "provider_unavailable",
      `Model "${model.name}" is served by ${quoted}, which is not in use`,
      "`assistant provider list` shows the providers.",
      secondsOf(2_000),
    );
  const why = nodes.some(({ facts }) => facts.up)
    ? "and the request has been forwarded already"
    : "which cannot be reached now";
  return refusal(
    "node_unavailable",
    `Model "${model.name}" is on the remote server ${quoted} alone, ${why}`,
    "`assistant node list` says how the servers are.",
    secondsOf(2_000),
  );
}

/** The answer of another node has ended, one way or the other. */
export function nodeFinished(
  turn: Turn,
  work: Work,
  target: NodeTarget,
  outcome: RequestOutcome,
  wasAnswering: boolean,
): void {
  turn.state.dirty.add(target.model);
  // One that counts over all its models may have been full for the others.
  if (target.node.facts.maxInFlight !== undefined)
    for (const model of turn.state.models.values())
      if (model.queue.size > 0 && model.nodes.has(target.node.name)) turn.state.dirty.add(model);
  if (outcome.end === "engine-error") {
    target.pauseMs = Math.min(MAX_PAUSE_MS, Math.max(MIN_PAUSE_MS, 2 * target.pauseMs));
    arm(turn, target.pause, turn.now + Math.max(target.pauseMs, outcome.pause?.ms ?? 0));
    target.pauseReason = outcome.pause ?? null;
  } else if (outcome.end === "complete") {
    target.pauseMs = 0;
    disarm(turn, target.pause);
    learnFrom(turn, work, target, outcome, wasAnswering);
  }
}

/** Rates and the way there and back are learned from what the engine there reports, else from when bytes came. */
function learnFrom(
  { now }: Turn,
  work: Work,
  target: NodeTarget,
  outcome: RequestOutcome,
  wasAnswering: boolean,
): void {
  const { completionTokens } = outcome;
  const { facts } = work;
  const streamedMs =
    wasAnswering && work.answeredAt !== null && now > work.answeredAt ? work.answeredAt - work.startedAt : null;
  const promptMs = outcome.promptMs ?? streamedMs;
  const completionMs = outcome.completionMs ?? (streamedMs === null ? null : now - work.startedAt - streamedMs);
  const prefilled =
    outcome.promptTokens === null
      ? facts.promptTokens - work.promisedTokens
      : outcome.promptTokens - (outcome.cachedTokens ?? 0);
  if (promptMs !== null) target.learnPrefill(prefilled, promptMs);
  if (completionMs !== null && completionTokens !== null) target.decodeRate.learn(completionTokens, completionMs);
  if (completionTokens !== null) learn(target.model.averages.completionTokens, completionTokens);
  if (outcome.promptMs === null || outcome.completionMs === null) return;
  const otherMs = Math.max(0, now - work.startedAt - outcome.promptMs - outcome.completionMs);
  learn(work instanceof NodeWork && !work.wasLoaded ? target.loadMs : target.overheadMs, otherMs);
}

interface Offer {
  readonly target: NodeTarget;
  readonly cost: Cost;
}

/** Whether a node takes a request now: it is up, not paused, not full, and the request has not been there. */
const isOpen = (target: NodeTarget, request: Restrictions, now: number): boolean => {
  const { node, pause, load } = target;
  return node.facts.up && load < 1 && !node.isFull && !(pause.armed && pause.at > now) && suits(target, request);
};

function hasRoom({ now }: Turn, model: ModelRecord, request: Restrictions): boolean {
  for (const target of model.nodes.values()) if (isOpen(target, request, now)) return true;
  return false;
}

/**
 * The node for a request: of those that are up, have the model and a free slot for it, the one with the least cost. Of those
 * that are about as quick, first those below max_load, then the one that is furthest behind its share by weight. A node of
 * weight 0 only where there is no other.
 */
function choose(turn: Turn, request: RequestRecord): Offer | null {
  const { model, facts } = request;
  const { maxLoad } = turn.state.settings;
  if (!mayForward(turn, model, facts)) return null;
  const open = [...model.nodes.values()].filter((target) => isOpen(target, facts, turn.now));
  const weighted = open.filter(({ node }) => node.facts.weight > 0);
  const offers = (weighted.length > 0 ? weighted : open).map((target) => ({
    target,
    cost: costOf(target, request, target.cachedTokens(request.facts), turn.now),
  }));
  const least = Math.min(...offers.map(({ cost }) => cost.weighedMs));
  const alike = offers.filter(({ cost }) => cost.weighedMs <= least * ALIKE + ALIKE_MS);
  alike.sort(
    (a, b) =>
      Number(a.target.load >= maxLoad) - Number(b.target.load >= maxLoad) ||
      turnAfter(a.target.node) - turnAfter(b.target.node),
  );
  return alike[0] ?? null;
}
