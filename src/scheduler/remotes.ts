import type { RemoteCandidate } from "../core/remote.ts";
import type { RemoteChange } from "./events.ts";
import { rejectAll } from "./lifecycle.ts";
import { NodeRecord, NodeTarget } from "./node.ts";
import { ModelRecord } from "./records.ts";
import { refusal, type SchedulerState, type Turn } from "./state.ts";

/** Applies new measurements. Requests waiting for what has become free are forwarded at the end of this decision. */
export function remotesChanged(turn: Turn, { nodeId, candidates, models, part }: RemoteChange): void {
  const { state } = turn;
  state.nodeId = nodeId;
  const missing = (known: Iterable<string>, named: readonly { readonly name: string }[]): string[] => {
    const names = new Set(named.map(({ name }) => name));
    return [...known].filter((name) => !names.has(name));
  };
  for (const name of part?.lostModels ?? missing(state.models.keys(), models)) {
    const model = state.models.get(name);
    if (model === undefined || !model.isDiscovered) continue;
    const message = `No remote server, provider or worker has the model "${name}" any longer`;
    rejectAll(turn, model, refusal("model_not_found", message));
    state.models.delete(name);
  }
  for (const spec of models) {
    const model = state.models.get(spec.name) ?? new ModelRecord(spec);
    state.models.set(spec.name, model);
    if (model.isDiscovered) model.spec = spec;
    model.queue.maxWaitMs = state.settings.maxWaitMs;
  }
  for (const name of part?.gone ?? missing(state.nodes.keys(), candidates)) {
    const node = state.nodes.get(name);
    if (node !== undefined) takeNode(turn, { ...node.facts, up: false, models: new Map() });
    state.nodes.delete(name);
  }
  for (const facts of candidates) takeNode(turn, facts);
}

/** A target is forgotten when its node, or the model there, is gone; its requests still end. */
function takeNode({ state }: Turn, facts: RemoteCandidate): void {
  const node = state.nodes.get(facts.name) ?? new NodeRecord(facts);
  state.nodes.set(facts.name, node);
  const before = node.facts;
  // An absent node earns no claim on what the others received meanwhile.
  if (facts.up && (!before.up || node.turns === 0)) node.turns = Math.max(node.turns, leastTurns(state, node, facts));
  // A new daemon, or one that was unreachable, has nothing cached.
  const isFresh = !facts.up || facts.nodeId !== before.nodeId;
  node.facts = facts;
  for (const name of new Set([...before.models.keys(), ...facts.models.keys()])) {
    const model = state.models.get(name);
    if (model === undefined) continue;
    if (model.queue.size > 0) state.dirty.add(model);
    meet(model, node);
    const target = model.nodes.get(facts.name);
    if (target !== undefined && isFresh) model.nodePrefixes.clear(target);
  }
}

/** The fewest turns among the nodes that are up and share a model with this one; 0: there are none. */
function leastTurns(state: SchedulerState, node: NodeRecord, { models }: RemoteCandidate): number {
  let least = Number.POSITIVE_INFINITY;
  for (const name of models.keys())
    for (const { node: other } of state.models.get(name)?.nodes.values() ?? [])
      if (other !== node && other.facts.up) least = Math.min(least, other.turns);
  return Number.isFinite(least) ? least : 0;
}

/** Updates the other nodes' entries of a model that is new here. */
export function meetNodes(state: SchedulerState, model: ModelRecord): void {
  for (const node of state.nodes.values()) meet(model, node);
}

function meet(model: ModelRecord, node: NodeRecord): void {
  const { name, models } = node.facts;
  const facts = models.get(model.name);
  const known = model.nodes.get(name);
  if (known !== undefined && (facts === undefined || known.node !== node)) {
    model.nodePrefixes.clear(known);
    model.nodes.delete(name);
  }
  if (facts === undefined) return;
  const target = model.nodes.get(name) ?? new NodeTarget(node, model, facts);
  model.nodes.set(name, target);
  target.facts = facts;
  target.others = Math.max(0, facts.inFlight - target.inFlight.size);
}
