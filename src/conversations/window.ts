/** What a prompt costs, tokens. */
export interface Costs {
  /** Of what stays: instructions, what is new, tools. */
  readonly fixed: number;
  /** Of the turns before, the oldest first. */
  readonly turns: readonly number[];
}

/** Of a context whose request sets no limit for the answer, the part that is left for it. */
const ANSWER_PART = 1 / 4;
/** However long an answer may become, so much is left for the prompt. */
const PROMPT_PART = 1 / 2;
/**
 * Messages are removed in steps of this share of the context: the following turns then begin with the same messages,
 * and find them in the engine's cache; otherwise each would be computed from its beginning.
 */
const STEP_PART = 1 / 8;

/** Tokens that a prompt may have. */
export const promptBudget = (contextTokens: number, maxTokens: number | null): number =>
  Math.floor(contextTokens - Math.min(maxTokens ?? contextTokens * ANSWER_PART, contextTokens * (1 - PROMPT_PART)));

/** How many of the oldest turns do not fit. `keepsLast`: what is new belongs to the last of them. */
export function overflow({ fixed, turns }: Costs, budgetTokens: number, keepsLast: boolean): number {
  const total = turns.reduce((sum, tokens) => sum + tokens, fixed);
  if (total <= budgetTokens) return 0;
  const step = Math.max(1, Math.ceil(budgetTokens * STEP_PART));
  const goal = Math.ceil((total - budgetTokens) / step) * step;
  const droppable = turns.slice(0, keepsLast ? -1 : turns.length);
  let freed = 0;
  const last = droppable.findIndex((tokens) => {
    freed += tokens;
    return freed >= goal;
  });
  return last < 0 ? droppable.length : last + 1;
}
