/** What goes wrong, each the share (0–1) of requests that it meets. */
export interface Faults {
  /** The process ends in the middle of the answer. */
  readonly die: number;
  /** The connection is reset in the middle of the answer. */
  readonly reset: number;
  /** The whole engine stops where it is; connections stay open, health and slots answer. */
  readonly stall: number;
  /** The process ends before the first byte. */
  readonly dieEarly: number;
  /** Answered with 500, or with 429, before anything is computed. */
  readonly error: number;
  readonly busy: number;
}

export type FaultName = keyof Faults;
export const noFaults: Faults = { die: 0, reset: 0, stall: 0, dieEarly: 0, error: 0, busy: 0 };

/** The fault of one request, if it has one; `value` is 0–1. */
export function faultOf(faults: Faults, value: number): FaultName | null {
  let left = value;
  for (const name of Object.keys(noFaults) as FaultName[]) {
    if (left < faults[name]) return name;
    left -= faults[name];
  }
  return null;
}
