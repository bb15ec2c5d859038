import { Agenda } from "../agenda.ts";
import type { EngineProfile } from "../engine.ts";
import type { SimResult, SimRun } from "../world.ts";
import type { Conversations, TurnRequest } from "./conversations.ts";
import { SlotEngine } from "./engine.ts";

/**
 * Routers that know what nobody knows: every cache and all that the engines have yet to do.
 *
 * - `soonest` takes the instance that gives this request its first token soonest, as it really would if nothing else
 *   came.
 * - `home` keeps a conversation where it began, and begins one where fewest have begun.
 */
export type Oracle = "soonest" | "home";
export const oracles: readonly Oracle[] = ["soonest", "home"];

/** Runs the conversations on instances of the profile, each request sent on its way at once. */
export function consult(oracle: Oracle, source: Conversations, instances: number, profile: EngineProfile): SimRun {
  const engines = Array.from({ length: instances }, () => new SlotEngine(profile));
  const homes = new Map<number, SlotEngine>();
  const agenda = new Agenda<SlotEngine>();
  const results = new Map<string, SimResult>();
  let now = 0;
  const schedule = (engine: SlotEngine): void => {
    if (engine.nextAt !== null) agenda.add(engine.nextAt, engine);
  };
  const choose = (request: TurnRequest): SlotEngine => {
    if (oracle === "soonest") return leastOf(engines, (engine) => engine.foresee(request, now));
    const begun = [...homes.values()];
    const home =
      homes.get(request.conversation) ?? leastOf(engines, (engine) => begun.filter((other) => other === engine).length);
    homes.set(request.conversation, home);
    return home;
  };
  for (;;) {
    if (source.nextAt !== null) {
      const request = source.take();
      const engine = choose(request);
      engine.admit(request, now);
      schedule(engine);
      results.set(request.id, {
        request,
        instanceId: `${engines.indexOf(engine)}`,
        queuedMs: 0,
        ttftMs: null,
        totalMs: null,
        cachedTokens: 0,
      });
      continue;
    }
    const at = agenda.nextAt;
    const engine = agenda.take();
    if (at === null || engine === null) break;
    if (engine.nextAt !== at) continue;
    now = at;
    const { first, done } = engine.advance(now);
    schedule(engine);
    for (const { id } of first) {
      const result = results.get(id);
      if (result !== undefined) result.ttftMs = now - result.request.at;
    }
    for (const { request, cachedTokens } of done) {
      const result = results.get(request.id);
      if (result !== undefined) Object.assign(result, { totalMs: now - request.at, cachedTokens });
      source.ended(request.id, now);
    }
  }
  const busyMs = engines.reduce((sum, engine) => sum + engine.busyMs, 0);
  const spanMs = Math.max(1, now);
  return {
    results: [...results.values()],
    spanMs,
    busyShare: busyMs / spanMs / instances,
    starts: instances,
    decisions: 0,
    decisionMs: 0,
  };
}

function leastOf<Item>(items: readonly Item[], cost: (item: Item) => number): Item {
  let [best, least] = [items[0], Number.POSITIVE_INFINITY];
  for (const item of items) {
    const here = cost(item);
    if (here < least) [best, least] = [item, here];
  }
  if (best === undefined) throw new Error("there is nothing to choose from");
  return best;
}
