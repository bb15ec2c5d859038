import type { PromptFacts } from "../core/request.ts";
import type { ModelRecord } from "./records.ts";
import type { SchedulerState } from "./state.ts";
import type { Target } from "./target.ts";

/** Instances of a model that are considered. */
const LOOKED_AT = 8;

/** How soon a model could start: it has a free slot; it is ready but busy; it must be loaded, or is unreachable. */
const [FREE, BUSY, COLD] = [0, 1, 2];

/**
 * Models that could all serve a request, in the order in which it should try them: those with a free slot first, then
 * busy ones, then those that must be loaded; then by cached part of the prompt, then by running and waiting work per
 * slot. Equal ones stay in the given order.
 */
export function preferred(state: SchedulerState, names: readonly string[], prompt: PromptFacts): readonly string[] {
  return names
    .map((name) => ({ name, ...standingOf(state.models.get(name), prompt) }))
    .sort((a, b) => a.readiness - b.readiness || b.cachedTokens - a.cachedTokens || a.load - b.load)
    .map(({ name }) => name);
}

interface Standing {
  readonly readiness: number;
  readonly cachedTokens: number;
  readonly load: number;
}

function standingOf(model: ModelRecord | undefined, prompt: PromptFacts): Standing {
  if (model === undefined || model.removed) return { readiness: COLD, cachedTokens: 0, load: Number.POSITIVE_INFINITY };
  const nodes = [...model.nodes.values()].filter(({ node, facts }) => node.facts.up && facts.loaded);
  const instances = [...model.instances].filter(({ life }) => life.phase === "ready");
  const open: Target[] = [
    ...model.available.items.slice(0, LOOKED_AT),
    ...nodes.filter(({ node, load }) => load < 1 && !node.isFull),
  ];
  const up: readonly Target[] = [...instances, ...nodes];
  const slots = up.reduce((sum, target) => sum + target.slots, 0);
  const inFlight = up.reduce((sum, target) => sum + target.inFlight.size, 0);
  const others = nodes.reduce((sum, node) => sum + node.others, 0);
  return {
    readiness: up.length === 0 ? COLD : open.length > 0 && model.queue.size === 0 ? FREE : BUSY,
    cachedTokens: Math.max(0, ...open.map((target) => target.cachedTokens(prompt))),
    load: (inFlight + others + model.queue.size) / Math.max(1, slots),
  };
}
