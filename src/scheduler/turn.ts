import type { Due } from "./due.ts";
import type { Effect, Refusal } from "./effects.ts";
import type { Occasion, SchedulerState } from "./state.ts";

/** One decision under way: the state, the time it is made at, and what it has led to so far. */
export interface Turn {
  readonly state: SchedulerState;
  /** Epoch milliseconds. */
  readonly now: number;
  readonly effects: Effect[];
}

export function arm(turn: Turn, due: Due<Occasion>, at: number): void {
  due.at = at;
  turn.state.dues.update(due);
}

export const disarm = (turn: Turn, due: Due<Occasion>): void => turn.state.dues.remove(due);

export const refusal = (
  code: Refusal["code"],
  message: string,
  remedy: string | null = null,
  retryAfterS: number | null = null,
): Refusal => ({
  code,
  message,
  remedy,
  retryAfterS,
});
