import type { WorkersReport } from "../api/workers.ts";
import { formatDuration } from "./format.ts";
import { alignColumns } from "./table.ts";

/** `worker list` as lines. Pure. */
export function workersText(workers: WorkersReport["workers"], now: number): string[] {
  if (workers.length === 0)
    return [
      "No workers have registered.",
      "`assistant worker new NAME` writes one, and `assistant worker run` runs it.",
    ];
  const rows = workers.map(({ name, endpoint, slots, inFlight, reserved, seenAt }) => [
    name,
    endpoint,
    `${inFlight}/${slots}`,
    String(reserved),
    `${formatDuration(Math.max(0, now - seenAt))} ago`,
  ]);
  return alignColumns([["WORKER", "ENDPOINT", "RUNNING", "RESERVED", "SEEN"], ...rows]);
}
