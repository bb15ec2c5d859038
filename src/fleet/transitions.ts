import type { InstanceState } from "../core/instance.ts";

/**
 * The life of an instance, as data: the owner loop may only take these steps, and the tests walk the same table.
 *
 *                 start            up           drain
 *       absent ----------> starting ----> ready <-----> draining
 *         ^  ^                | |  |        |   resume     |
 *         |  | gone           | |  | stop   | stop         | stop
 *         |  +-- stopping <---|-+--+--------+--------------+
 *    stop |         |         |             | lost         | lost
 *         |         | unkillable            |              |
 *         |         v         v lost        |              |
 *         +------ failed <----+-------------+--------------+
 *                   |
 *                   +-- start --> starting (after the backoff, or when an operator asks)
 */
export const transitions = {
  absent: { start: "starting" },
  starting: { up: "ready", lost: "failed", stop: "stopping" },
  ready: { drain: "draining", lost: "failed", stop: "stopping" },
  draining: { resume: "ready", lost: "failed", stop: "stopping" },
  // `unkillable`: not even SIGKILL ended it (a call into a driver that never returns); nothing may wait for it forever.
  stopping: { gone: "absent", unkillable: "failed" },
  // A stop finds nothing to end, unless a killed process is still there.
  failed: { start: "starting", stop: "absent", "stop-lingering": "stopping" },
} as const satisfies Record<InstanceState, Partial<Record<string, InstanceState>>>;

export type Trigger = { [State in InstanceState]: keyof (typeof transitions)[State] }[InstanceState];

/** The state after `trigger` in `state`, or null if it does not apply: the caller ignores it then. */
export function nextState(state: InstanceState, trigger: Trigger): InstanceState | null {
  const row: Partial<Record<Trigger, InstanceState>> = transitions[state];
  return row[trigger] ?? null;
}
