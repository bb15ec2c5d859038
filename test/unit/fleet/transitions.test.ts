import { expect, test } from "vitest";
import type { InstanceState } from "../../../src/core/instance.ts";
import { nextState, type Trigger, transitions } from "../../../src/fleet/transitions.ts";

const states = Object.keys(transitions) as InstanceState[];
const triggers = [...new Set(states.flatMap((state) => Object.keys(transitions[state])))] as Trigger[];

/** The whole table once more, by hand: a change of either must be meant. */
const expected: Record<InstanceState, Partial<Record<Trigger, InstanceState>>> = {
  absent: { start: "starting" },
  starting: { up: "ready", lost: "failed", stop: "stopping" },
  ready: { drain: "draining", lost: "failed", stop: "stopping" },
  draining: { resume: "ready", lost: "failed", stop: "stopping" },
  stopping: { gone: "absent", unkillable: "failed" },
  failed: { start: "starting", stop: "absent", "stop-lingering": "stopping" },
};

test.each(states.flatMap((state) => triggers.map((trigger) => [state, trigger] as const)))(
  "%s: %s",
  (state, trigger) => {
    expect(nextState(state, trigger)).toBe(expected[state][trigger] ?? null);
  },
);

test("every state can be reached, and from every state there is a way to absent", () => {
  const reachable = (from: InstanceState): Set<InstanceState> => {
    const seen = new Set([from]);
    for (const state of seen) for (const next of Object.values(transitions[state])) seen.add(next);
    return seen;
  };
  expect(reachable("absent")).toEqual(new Set(states));
  for (const state of states) expect(reachable(state)).toContain("absent");
});
