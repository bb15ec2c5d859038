import type { ModelSpec } from "../core/model.ts";
import type { RemoteCandidate } from "../core/remote.ts";
import type { RequestFacts, RequestOutcome } from "../core/request.ts";
import type { Refusal } from "./effects.ts";
import type { RemoteChange } from "./events.ts";
import { rejectAll, rejectWaiting, unqueue } from "./lifecycle.ts";
import { secondsOf, waitEstimate } from "./limits.ts";
import { loadOf } from "./load.ts";
import { begins, ends, hereMs, placeOf, priceOf } from "./remote-cost.ts";
import { createModel, type ModelRecord, type RemoteRecord, type RequestRecord, type SchedulerState } from "./state.ts";
import { Group } from "./structures/roster.ts";
import { arm, disarm, refusal, type Turn } from "./turn.ts";

/** A request that was forwarded this often is served where it is: lists of machines that name each other end somewhere. */
const MOST_HOPS = 4;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 8_000;
/** Machines that would be about as quick share the work by weight: within this factor and these milliseconds of the quickest. */
const ALIKE = 1.25;
const ALIKE_MS = 250;
/** To go elsewhere must be quicker by this factor: estimates are estimates. */
const MARGIN = 1.1;
/** Places of a queue that are looked at for one that is worth going. */
const FEW = 64;

/** Takes over what was measured. Requests that wait for what has become free go there at the end of this decision. */
export function remotesChanged(turn: Turn, change: RemoteChange): void {
  const { state } = turn;
  state.nodeId = change.nodeId;
  const names = new Set(change.candidates.map(({ name }) => name));
  for (const [name, remote] of state.remotes) {
    if (names.has(name)) continue;
    disarm(turn, remote.due);
    forgetPrefixes(state, remote);
    state.remotes.delete(name);
  }
  const least = Math.min(...[...state.remotes.values()].filter(({ facts }) => facts.up).map(({ turns }) => turns));
  for (const facts of change.candidates) {
    const remote = state.remotes.get(facts.name) ?? createRemote(state, facts);
    // Who was away has no claim on what the others got meanwhile.
    if (facts.up && (!remote.facts.up || remote.turns === 0) && Number.isFinite(least)) remote.turns = Math.max(remote.turns, least);
    // Another daemon, or one that was away, has nothing of what it had.
    if (!facts.up || facts.nodeId !== remote.facts.nodeId) forgetPrefixes(state, remote);
    remote.facts = facts;
    remote.others = othersOf(remote);
  }
  takeModels(turn, change.models);
  for (const model of state.models.values()) if (model.queue.size > 0) state.dirty.add(model);
}

function createRemote(state: SchedulerState, facts: RemoteCandidate): RemoteRecord {
  const remote: RemoteRecord = {
    name: facts.name,
    facts,
    inFlight: new Group(),
    places: new Map(),
    others: new Map(),
    pauses: new Map(),
    due: {
      at: 0,
      heapIndex: -1,
      what: {
        type: "remote",
        get remote() {
          return remote;
        },
      },
    },
    turns: 0,
  };
  state.remotes.set(facts.name, remote);
  return remote;
}

function forgetPrefixes(state: SchedulerState, { places }: RemoteRecord): void {
  for (const [name, place] of places) if (place.prefixes.conversations.size > 0) state.models.get(name)?.remotePrefixes.clear(place);
}

const othersOf = ({ facts, places }: RemoteRecord): Map<string, number> =>
  new Map([...facts.models].map(([name, { inFlight }]) => [name, Math.max(0, inFlight - (places.get(name)?.inFlight ?? 0))]));

/** Models that only other machines have come and go with what those tell. */
function takeModels(turn: Turn, specs: readonly ModelSpec[]): void {
  const { state } = turn;
  const wanted = new Map(specs.map((spec) => [spec.name, spec]));
  for (const model of [...state.models.values()]) {
    if (!isRemoteOnly(model) || wanted.has(model.name)) continue;
    rejectAll(turn, model, refusal("model_not_found", `No remote server has the model "${model.name}" any longer`));
    state.models.delete(model.name);
  }
  for (const spec of specs) {
    const known = state.models.get(spec.name);
    const model = known ?? createModel(spec);
    if (known === undefined) state.models.set(spec.name, model);
    else if (isRemoteOnly(known)) known.spec = spec;
    model.queue.maxWaitMs = state.settings.maxWaitMs;
  }
}

/** Nothing is ever started here for such a model. */
export const isRemoteOnly = (model: ModelRecord): boolean => model.spec.nodes !== undefined;

/**
 * Sends a request that has just come to another machine, if even the best instance here is at max_load and, as far as
 * both were measured, the other machine gives the first token sooner all the same. False: it stays.
 */
export function forwardAtOnce(turn: Turn, request: RequestRecord): boolean {
  const { state } = turn;
  if (state.remotes.size === 0) return false;
  const least = request.model.available.peek();
  if (least === undefined || loadOf(least) < state.settings.maxLoad) return false;
  const offer = choose(turn, request);
  if (offer === null) return false;
  const here = offer.ms === null ? null : hereMs(request.model, request, turn.now);
  if (here !== null && offer.ms !== null && here < offer.ms * MARGIN) return false;
  give(turn, request, offer.remote);
  return true;
}

function give(turn: Turn, request: RequestRecord, remote: RemoteRecord): void {
  remote.inFlight.add(request);
  remote.turns += 1 / Math.max(1, remote.facts.weight);
  request.remote = remote;
  request.dispatchedAt = turn.now;
  const facts = remote.facts.models.get(request.model.name);
  request.remoteLoaded = facts?.loaded ?? true;
  begins(placeOf(remote, request.model), request.model, request, facts?.slots ?? 1);
  turn.effects.push({ type: "forward", requestId: request.facts.id, node: remote.name, queuedMs: turn.now - request.arrivedAt });
}

/**
 * Sends waiting requests of a model away, from the front. What is loading here is worth waiting for while nothing runs
 * yet: as many requests stay as it has slots. Once an instance runs, a machine with a free slot need not wait for another.
 */
export function overflow(turn: Turn, model: ModelRecord): void {
  let kept = 0;
  if (model.serving === 0) for (const instance of model.coming) kept += instance.slots;
  sendAway(turn, model, model.queue.size - kept, model.slots > 0 ? (waitEstimate(model, turn.now)?.perPlaceMs ?? null) : null);
}

/** Nothing here will serve the model soon: its requests go to other machines, or wait for them; those that may not are refused. */
export function giveUp(turn: Turn, model: ModelRecord, refused: Refusal): void {
  sendAway(turn, model, model.queue.size, null);
  for (const request of [...model.queue]) if (!mayForward(turn, request.facts)) rejectWaiting(turn, request, refused);
}

/**
 * `perPlaceMs`: after how long each place of the queue has its turn here, null where nothing says so. Who has his turn
 * sooner here than a first token there stays, and the next one after him goes.
 */
function sendAway(turn: Turn, model: ModelRecord, most: number, perPlaceMs: number | null): void {
  // Whether any has room is asked first: to list the queue costs more, and it comes to that with every event of a busy model.
  if (model.removed || most <= 0 || !hasRoom(turn, model)) return;
  let left = most;
  let place = 0;
  let from = 0;
  for (const request of model.queue) {
    place += 1;
    if (place < from) continue;
    const offer = choose(turn, request);
    // Machines that are full are full for all; only hop lists differ between requests.
    if (offer === null && (request.facts.hops ?? []).length === 0) return;
    if (offer === null) continue;
    if (perPlaceMs !== null && offer.ms !== null) {
      if (offer.ms * MARGIN > perPlaceMs * model.queue.size) return;
      from = Math.min(FEW, Math.ceil((offer.ms * MARGIN) / perPlaceMs));
      if (place < from) continue;
    }
    unqueue(turn, request);
    give(turn, request, offer.remote);
    left -= 1;
    if (left <= 0) return;
  }
}

/** Whether another machine may take the request sooner or later: it is up, has the model, and the hop list allows it. */
export function mayForward(turn: Turn, request: Pick<RequestFacts, "model" | "hops">): boolean {
  const hops = request.hops ?? [];
  if (turn.state.remotes.size === 0 || hops.length >= MOST_HOPS || hops.includes(turn.state.nodeId)) return false;
  for (const { facts } of turn.state.remotes.values()) if (facts.up && facts.models.has(request.model) && !hops.includes(facts.nodeId)) return true;
  return false;
}

/** Whether another machine would take the request now. */
export const takesNow = (turn: Turn, model: ModelRecord, request: RequestFacts): boolean => mayForward(turn, request) && hasRoom(turn, model, request.hops);

/** Why a model that only other machines have cannot be served. */
export function unreachable(turn: Turn, model: ModelRecord): Refusal {
  const nodes = (model.spec.nodes ?? []).map((name) => `"${name}"`).join(", ");
  const up = (model.spec.nodes ?? []).some((name) => turn.state.remotes.get(name)?.facts.up);
  const why = up ? "and the request has been forwarded already" : "which cannot be reached now";
  return refusal(
    "node_unavailable",
    `Model "${model.name}" is on the remote server ${nodes} alone, ${why}`,
    "`assistant node list` says how the servers are.",
    secondsOf(2_000),
  );
}

/** The answer of another machine has ended, one way or the other. */
export function remoteFinished(turn: Turn, request: RequestRecord, remote: RemoteRecord, outcome: RequestOutcome): void {
  const { state, now } = turn;
  state.requests.delete(request.facts.id);
  remote.inFlight.remove(request);
  ends(placeOf(remote, request.model), request.model, request, outcome, request.remoteLoaded, now);
  state.served += 1;
  const { name } = request.model;
  if (outcome.end === "engine-error") {
    const lengthMs = Math.min(LONGEST_PAUSE_MS, (remote.pauses.get(name)?.lengthMs ?? FIRST_PAUSE_MS / 2) * 2);
    remote.pauses.set(name, { until: now + lengthMs, lengthMs });
    armPauses(turn, remote);
  } else if (outcome.end === "complete") remote.pauses.delete(name);
  wake(turn, remote);
}

/** A pause is over. */
export function remoteDue(turn: Turn, remote: RemoteRecord): void {
  armPauses(turn, remote);
  wake(turn, remote);
}

function armPauses(turn: Turn, remote: RemoteRecord): void {
  if (turn.state.remotes.get(remote.name) !== remote) return;
  const coming = [...remote.pauses.values()].map(({ until }) => until).filter((until) => until > turn.now);
  if (coming.length > 0) arm(turn, remote.due, Math.min(...coming));
}

function wake(turn: Turn, remote: RemoteRecord): void {
  for (const name of remote.facts.models.keys()) {
    const model = turn.state.models.get(name);
    if (model !== undefined && model.queue.size > 0) turn.state.dirty.add(model);
  }
}

interface Offer {
  readonly remote: RemoteRecord;
  /** Until the first token there; null before anything was measured. */
  readonly ms: number | null;
  readonly weighedMs: number;
  readonly load: number;
}

/** How loaded a machine is with a model; null where it takes nothing: it is down, has paused, is full, or has been there already. */
function loadAt(turn: Turn, remote: RemoteRecord, name: string, hops: readonly string[]): number | null {
  const { facts } = remote;
  const model = facts.models.get(name);
  if (!facts.up || model === undefined || hops.includes(facts.nodeId) || (remote.pauses.get(name)?.until ?? 0) > turn.now) return null;
  const load = ((remote.places.get(name)?.inFlight ?? 0) + (remote.others.get(name) ?? 0)) / Math.max(1, model.slots);
  return load < 1 ? load : null;
}

function hasRoom(turn: Turn, model: ModelRecord, hops: readonly string[] = []): boolean {
  for (const remote of turn.state.remotes.values()) if (loadAt(turn, remote, model.name, hops) !== null) return true;
  return false;
}

/**
 * The machine for a request: of those that are up, have the model and a free slot for it, the one that gives the first
 * token soonest. Of those that are about as quick, first those below max_load, then the one that is furthest behind its
 * share by weight. A machine of weight 0 only where there is no other.
 */
function choose(turn: Turn, request: RequestRecord): Offer | null {
  const { state } = turn;
  if (!mayForward(turn, request.facts)) return null;
  const offers: Offer[] = [];
  for (const remote of state.remotes.values()) {
    const load = loadAt(turn, remote, request.model.name, request.facts.hops ?? []);
    if (load !== null) offers.push({ remote, load, ...priceOf(remote, request.model, request) });
  }
  const weighted = offers.filter(({ remote }) => remote.facts.weight > 0);
  const open = weighted.length > 0 ? weighted : offers;
  const least = open.reduce((lowest, { weighedMs }) => Math.min(lowest, weighedMs), Number.POSITIVE_INFINITY);
  let best: Offer | null = null;
  for (const offer of open) {
    if (offer.weighedMs > least * ALIKE + ALIKE_MS) continue;
    if (best === null || isBefore(offer, best, state.settings.maxLoad)) best = offer;
  }
  return best;
}

function isBefore(a: Offer, b: Offer, maxLoad: number): boolean {
  if (a.load < maxLoad !== b.load < maxLoad) return a.load < maxLoad;
  return a.remote.turns < b.remote.turns;
}
