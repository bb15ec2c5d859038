import { setTimeout } from "node:timers/promises";
import { chatBody, open, type Target, text } from "./client.ts";

export interface Leaving {
  readonly phase: "decode" | "prefill";
  readonly streamed: boolean;
  readonly half: boolean;
}

export const leavings: readonly Leaving[] = (["decode", "prefill"] as const).flatMap((phase) =>
  [true, false].flatMap((streamed) => [true, false].map((half) => ({ phase, streamed, half }))),
);

const LONG_PROMPT = "The river runs past the mill and on to the sea. ".repeat(70);
/** Longer than any engine needs; what takes this long has not noticed. */
const PATIENCE_MS = 30_000;

/**
 * Milliseconds from the client's leaving until the engine works on nothing but what `busy` other requests need, judged
 * on the engine's own slots.
 */
export async function stopTime(
  through: Target,
  engine: Target,
  { phase, streamed, half }: Leaving,
  busy: number,
): Promise<number> {
  const prompt = phase === "prefill" ? LONG_PROMPT : "Tell a long story.";
  const call = open(through, "/v1/chat/completions", chatBody(prompt, 400, { stream: streamed }));
  if (phase === "decode" && streamed) {
    const answer = await call.answer;
    await new Promise((resolve) => answer.once("data", resolve));
    answer.on("error", () => {});
  }
  await until(
    engine,
    (slots) =>
      slots.filter((slot) => slot.is_processing).length === busy + 1 &&
      (phase === "prefill" || slots.filter(decodes).length === busy + 1),
  );
  const leftAt = performance.now();
  call.leave(half);
  await until(engine, (slots) => slots.filter((slot) => slot.is_processing).length === busy);
  return performance.now() - leftAt;
}

interface Slot {
  readonly is_processing: boolean;
  readonly next_token?: readonly { readonly n_decoded?: number }[] | { readonly n_decoded?: number };
}

const decodes = ({ is_processing, next_token }: Slot): boolean => {
  const first = Array.isArray(next_token) ? next_token[0] : next_token;
  return is_processing && (first?.n_decoded ?? 0) > 0;
};

/**
 * Between two looks: each is a task of the engine's one loop, and without a pause they would be most of what it does.
 */
const LOOK_EVERY_MS = 4;

/** Asks the engine again and again; it answers between two batches. */
async function until(engine: Target, reached: (slots: readonly Slot[]) => boolean): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    if (reached(JSON.parse(await text(engine, "/slots")) as Slot[])) return;
    await setTimeout(LOOK_EVERY_MS);
    if (performance.now() > deadline)
      throw new Error(`the engine did not come to the expected state within ${PATIENCE_MS / 1000} s`);
  }
}
