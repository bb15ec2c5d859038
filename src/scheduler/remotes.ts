import type { ModelSpec } from "../core/model.ts";
import type { RemoteCandidate } from "../core/remote.ts";
import type { RequestFacts, RequestOutcome } from "../core/request.ts";
import type { Refusal } from "./effects.ts";
import type { RemoteChange } from "./events.ts";
import { rejectAll, rejectWaiting, unqueue } from "./lifecycle.ts";
import { secondsOf } from "./limits.ts";
import { loadOf } from "./load.ts";
import { Group } from "./roster.ts";
import { createModel, type ModelRecord, type RemoteRecord, type RequestRecord, type SchedulerState } from "./state.ts";
import { arm, disarm, refusal, type Turn } from "./turn.ts";

/** A request that was forwarded this often is served where it is: lists of machines that name each other end somewhere. */
const MOST_HOPS = 4;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 8_000;

/** Takes over what was measured. Requests that wait for what has become free go there at the end of this decision. */
export function remotesChanged(turn: Turn, change: RemoteChange): void {
  const { state } = turn;
  state.nodeId = change.nodeId;
  const names = new Set(change.candidates.map(({ name }) => name));
  for (const [name, remote] of state.remotes) {
    if (names.has(name)) continue;
    disarm(turn, remote.due);
    state.remotes.delete(name);
  }
  const least = Math.min(...[...state.remotes.values()].filter(({ facts }) => facts.up).map(({ turns }) => turns));
  for (const facts of change.candidates) {
    const remote = state.remotes.get(facts.name) ?? createRemote(state, facts);
    // Who was away has no claim on what the others got meanwhile.
    if (facts.up && (!remote.facts.up || remote.turns === 0) && Number.isFinite(least)) remote.turns = Math.max(remote.turns, least);
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

function othersOf({ facts, inFlight }: RemoteRecord): Map<string, number> {
  const others = new Map([...facts.models].map(([name, { inFlight: all }]) => [name, all]));
  for (const { model } of inFlight) others.set(model.name, Math.max(0, (others.get(model.name) ?? 0) - 1));
  return others;
}

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

/** Sends a request that has just come to another machine, if even the best instance here is at max_load. False: it stays. */
export function forwardAtOnce(turn: Turn, request: RequestRecord): boolean {
  const { state } = turn;
  if (state.remotes.size === 0) return false;
  const least = request.model.available.peek();
  if (least === undefined || loadOf(least) < state.settings.maxLoad) return false;
  const remote = choose(turn, request.facts);
  if (remote !== null) give(turn, request, remote);
  return remote !== null;
}

function give(turn: Turn, request: RequestRecord, remote: RemoteRecord): void {
  remote.inFlight.add(request);
  remote.turns += 1 / Math.max(1, remote.facts.weight);
  request.remote = remote;
  request.dispatchedAt = turn.now;
  turn.effects.push({ type: "forward", requestId: request.facts.id, node: remote.name, queuedMs: turn.now - request.arrivedAt });
}

/**
 * Sends waiting requests of a model away, from the front. What is loading here is worth waiting for while nothing runs
 * yet: as many requests stay as it has slots. Once an instance runs, a machine with a free slot need not wait for another.
 */
export function overflow(turn: Turn, model: ModelRecord): void {
  let kept = 0;
  if (model.serving === 0) for (const instance of model.coming) kept += instance.slots;
  sendAway(turn, model, model.queue.size - kept);
}

/** Nothing here will serve the model soon: its requests go to other machines, or wait for them; those that may not are refused. */
export function giveUp(turn: Turn, model: ModelRecord, refused: Refusal): void {
  sendAway(turn, model, model.queue.size);
  for (const request of [...model.queue]) if (!mayForward(turn, request.facts)) rejectWaiting(turn, request, refused);
}

function sendAway(turn: Turn, model: ModelRecord, most: number): void {
  // Whether any has room is asked first: to list the queue costs more, and it comes to that with every event of a busy model.
  if (model.removed || most <= 0 || choose(turn, { model: model.name }) === null) return;
  let left = most;
  for (const request of model.queue) {
    if (left <= 0) return;
    const remote = choose(turn, request.facts);
    // Machines that are full are full for all; only hop lists differ between requests.
    if (remote === null && (request.facts.hops ?? []).length === 0) return;
    if (remote === null) continue;
    unqueue(turn, request);
    give(turn, request, remote);
    left -= 1;
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
export const takesNow = (turn: Turn, request: RequestFacts): boolean => turn.state.remotes.size > 0 && choose(turn, request) !== null;

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

/**
 * The machine for a request: of those that are up, have the model and a free slot for it, first those that have it
 * loaded, then those below max_load, then the one that is furthest behind its share by weight.
 */
function choose(turn: Turn, request: Pick<RequestFacts, "model" | "hops">): RemoteRecord | null {
  const { state, now } = turn;
  if (!mayForward(turn, request)) return null;
  const { model: name, hops = [] } = request;
  let best: RemoteRecord | null = null;
  let bestRank: readonly number[] = [];
  for (const remote of state.remotes.values()) {
    const { facts } = remote;
    const model = facts.models.get(name);
    if (!facts.up || model === undefined || hops.includes(facts.nodeId) || (remote.pauses.get(name)?.until ?? 0) > now) continue;
    const load = (oursOn(remote, name) + (remote.others.get(name) ?? 0)) / Math.max(1, model.slots);
    if (load >= 1) continue;
    const rank = [facts.weight === 0 ? 1 : 0, model.loaded ? 0 : 1, load < state.settings.maxLoad ? 0 : 1, remote.turns];
    if (best === null || isLess(rank, bestRank)) {
      best = remote;
      bestRank = rank;
    }
  }
  return best;
}

function oursOn(remote: RemoteRecord, model: string): number {
  let count = 0;
  for (const request of remote.inFlight) if (request.model.name === model) count += 1;
  return count;
}

function isLess(a: readonly number[], b: readonly number[]): boolean {
  for (const [index, value] of a.entries()) {
    const other = b[index] ?? 0;
    if (value !== other) return value < other;
  }
  return false;
}
