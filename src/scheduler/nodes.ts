import { matches } from "../core/capability-query.ts";
import type { AssistantError } from "../core/errors.ts";
import type { ModelSpec } from "../core/model.ts";
import type { RemoteCandidate, RemoteModel } from "../core/remote.ts";
import type { RequestFacts, RequestOutcome } from "../core/request.ts";
import { type Cost, costOf } from "./cost.ts";
import type { RemoteChange } from "./events.ts";
import { rejectAll, rejectWaiting, unqueue } from "./lifecycle.ts";
import { secondsOf, waitEstimate } from "./limits.ts";
import { ModelRecord, NodeRecord, NodeTarget, type RequestRecord } from "./records.ts";
import { type SchedulerState, arm, disarm, refusal, type Turn } from "./state.ts";
import { learn } from "./structures/average.ts";
import { Work } from "./target.ts";

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
/** Nodes with a free slot that are compared: thousands of workers may have one name. */
const MAX_COMPARED = 32;
/** Instances here that are looked at. */
const LOOKED_AT = 8;

/** Takes over what was measured. Requests that wait for what has become free go there at the end of this decision. */
export function remotesChanged(turn: Turn, { nodeId, candidates, models, part }: RemoteChange): void {
  const { state } = turn;
  state.nodeId = nodeId;
  const wanted = part === undefined ? new Set(models.map(({ name }) => name)) : null;
  loseModels(turn, part?.lostModels ?? [...state.models.keys()].filter((name) => wanted?.has(name) === false));
  takeModels(turn, models);
  const names = part === undefined ? new Set(candidates.map(({ name }) => name)) : null;
  const changed = new Set<ModelRecord>();
  for (const name of part?.gone ?? [...state.nodes.keys()].filter((known) => names?.has(known) === false))
    for (const model of forgetNode(state, name)) changed.add(model);
  for (const facts of candidates) for (const model of takeNode(state, facts)) changed.add(model);
  for (const model of part === undefined ? state.models.values() : changed)
    if (model.queue.size > 0) state.dirty.add(model);
}

/** Returns the models that it had. A target whose node or model there is gone is forgotten; its requests end all the same. */
function forgetNode(state: SchedulerState, name: string): ModelRecord[] {
  const node = state.nodes.get(name);
  state.nodes.delete(name);
  return [...(node?.facts.models.keys() ?? [])].flatMap((modelName) => {
    const model = state.models.get(modelName);
    if (model !== undefined) forgetTarget(model, name);
    return model ?? [];
  });
}

function forgetTarget(model: ModelRecord, node: string): void {
  const target = model.nodes.get(node);
  if (target === undefined) return;
  model.nodePrefixes.clear(target);
  model.nodes.delete(node);
}

/** Returns the models that it has. */
function takeNode(state: SchedulerState, facts: RemoteCandidate): ModelRecord[] {
  const node = state.nodes.get(facts.name) ?? new NodeRecord(facts);
  state.nodes.set(facts.name, node);
  const before = node.facts;
  // Who was away has no claim on what the others got meanwhile.
  if (facts.up && (!before.up || node.turns === 0)) node.turns = Math.max(node.turns, leastTurns(state, node, facts));
  // Another daemon, or one that was away, has nothing of what it had.
  const isFresh = !facts.up || facts.nodeId !== before.nodeId;
  node.facts = facts;
  for (const name of before.models.keys()) {
    const model = state.models.get(name);
    if (model !== undefined && !facts.models.has(name)) forgetTarget(model, node.name);
  }
  return [...facts.models].flatMap(([name, offered]) => {
    const model = state.models.get(name);
    if (model === undefined) return [];
    const target = meet(model, node, offered);
    if (isFresh) model.nodePrefixes.clear(target);
    return model;
  });
}

/** Of the nodes that are up and share a model with this one, the fewest turns; 0: there are none. */
function leastTurns(state: SchedulerState, node: NodeRecord, { models }: RemoteCandidate): number {
  let least = Number.POSITIVE_INFINITY;
  for (const name of models.keys())
    for (const { node: other } of state.models.get(name)?.nodes.values() ?? [])
      if (other !== node && other.facts.up) least = Math.min(least, other.turns);
  return Number.isFinite(least) ? least : 0;
}

/** Brings what other nodes have of a model that is new here up to date. */
export function meetNodes(state: SchedulerState, model: ModelRecord): void {
  for (const node of state.nodes.values()) {
    const facts = node.facts.models.get(model.name);
    if (facts !== undefined) meet(model, node, facts);
  }
}

function meet(model: ModelRecord, node: NodeRecord, facts: RemoteModel): NodeTarget {
  const known = model.nodes.get(node.name);
  const target = known?.node === node ? known : new NodeTarget(node, model, facts);
  model.nodes.set(node.name, target);
  target.facts = facts;
  target.others = Math.max(0, facts.inFlight - target.inFlight.size);
  return target;
}

/** Models that only other nodes had, and none has any longer. */
function loseModels(turn: Turn, names: readonly string[]): void {
  const { state } = turn;
  for (const name of names) {
    const model = state.models.get(name);
    if (model === undefined || !model.isDiscovered) continue;
    rejectAll(
      turn,
      model,
      refusal("model_not_found", `No remote server, provider or worker has the model "${name}" any longer`),
    );
    state.models.delete(name);
  }
}

/** Models that only other nodes have. Those are met afterwards. */
function takeModels({ state }: Turn, specs: readonly ModelSpec[]): void {
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

/** Sends a request that takes no slot to another node, full or not. False: none may take it now. */
export function readElsewhere(turn: Turn, request: RequestRecord): boolean {
  const offer = choose(turn, request);
  if (offer === null) return false;
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
export function giveUp(turn: Turn, model: ModelRecord, refused: () => AssistantError): void {
  sendAway(turn, model, model.queue.size, null);
  for (const request of [...model.queue])
    if (!mayForward(turn, model, request.facts)) rejectWaiting(turn, request, refused());
}

/**
 * `perPlaceMs`: after how long each place of the queue has its turn here, null where nothing says so. Who has his turn
 * sooner here than a first token there stays, and the next one after him goes.
 */
function sendAway(turn: Turn, model: ModelRecord, most: number, perPlaceMs: number | null): void {
  // Whether any has room is asked first: to list the queue costs more, and it comes to that with every event of a busy model.
  if (model.removed || most <= 0 || !(hasRoom(turn, model, ANY) || hasReservations(model))) return;
  let left = most;
  let place = 0;
  let from = 0;
  for (const request of model.queue) {
    place += 1;
    if (place < from) continue;
    const offer = choose(turn, request);
    // Nodes that are full are full for all; only hop lists, capabilities and reservations differ between requests.
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

/** What says of a request where it may go. */
type Restrictions = Pick<RequestFacts, "hops" | "capabilities" | "reservation" | "slotless">;
const ANY: Restrictions = {};

const isUnrestricted = ({ hops = [], capabilities }: Restrictions): boolean =>
  hops.length === 0 && capabilities === undefined;

/** Whether the request has not been there, is offered there what it asks for, and has a place there where it reserved one. */
const suits = ({ node, facts, model }: NodeTarget, { hops = [], capabilities, reservation }: Restrictions): boolean =>
  !hops.includes(node.facts.nodeId) &&
  (capabilities === undefined || matches(capabilities, facts.capabilities ?? model.spec.capabilities)) &&
  (reservation === undefined || facts.reservations?.has(reservation) === true);

/** Whether another node may take the request sooner or later: it is up, has the model, was not asked to be left alone, and the hop list allows it. */
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

/** Milliseconds for which a target gets no work. */
const pauseMs = ({ pause }: NodeTarget, now: number): number => (pause.armed ? Math.max(0, pause.at - now) : 0);

/** Whether another node would take the request now. */
export const takesNow = (turn: Turn, model: ModelRecord, facts: RequestFacts): boolean =>
  mayForward(turn, model, facts) && hasRoom(turn, model, facts);

/** Why a model that only other nodes have cannot be served. */
export function unreachable({ state, now }: Turn, model: ModelRecord): AssistantError {
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
  if (model.spec.source.type === "worker")
    return refusal(
      "worker_unavailable",
      `No worker serves "${model.name}" to this request now`,
      "`assistant worker list` shows the workers.",
      secondsOf(2_000),
    );
  if (model.spec.source.type === "pipeline")
    return refusal(
      "stage_failed",
      `The pipeline "${model.name}" asks itself, by one of its stages or those of the pipelines that these ask`,
      "Name another model in the stage.",
    );
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
    for (const name of target.node.facts.models.keys()) {
      const model = turn.state.models.get(name);
      if (model !== undefined && model.queue.size > 0) turn.state.dirty.add(model);
    }
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

/** Whether a node takes a request now: it is up, not paused, not full, and the request has not been there. Who reserved a place has it. */
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
 * The node for a request: of those that are up, have the model and a free slot for it, the one with the least cost. Of those
 * that are about as quick, first those below max_load, then the one that is furthest behind its share by weight. A node of
 * weight 0 only where there is no other.
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
