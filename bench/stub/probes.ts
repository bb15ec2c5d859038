import { eventually } from "../../test/support/assistant.ts";
import { callEngine } from "../../test/support/fake-engine.ts";
import { progress } from "../lib/report.ts";
import type { Seen } from "../workloads/stream.ts";
import { streamChat, type Target } from "../workloads/stream.ts";
import type { DecodeSample, MixedSample, PrefillSample } from "./fit.ts";

export interface ChatTurn {
  readonly role: string;
  readonly content: string;
}

const words =
  "river mill sea stone bridge field winter road light harbour garden morning letter window table forest island market story cloud".split(
    " ",
  );

/** A text of about so many bytes that no other seed gives. */
export function prose(seed: number, bytes: number, random: () => number): string {
  let text = `Report ${seed}:`;
  while (text.length < bytes) text += ` ${words[Math.floor(random() * words.length)]}`;
  return text;
}

export const chatBody = (messages: readonly ChatTurn[], maxTokens: number, more: object = {}): string =>
  JSON.stringify({
    model: "bench",
    messages,
    max_tokens: maxTokens,
    temperature: 0,
    ignore_eos: true,
    stream: true,
    stream_options: { include_usage: true },
    ...more,
  });

const TRIES = 3;

/** What another program's turn on the machine has spoilt is measured again. Throws what the last try threw. */
export async function again<T>(probe: () => Promise<T>): Promise<T> {
  for (let left = TRIES - 1; ; left--) {
    try {
      return await probe();
    } catch (error) {
      if (left === 0) throw error;
      progress(`measured again: ${(error as Error).message}`);
    }
  }
}

const IDLE_WITHIN_MS = 30_000;

/** Waits until the engine works on nothing: a stock one notices late that its clients have left. */
async function idle(target: { readonly socketPath: string }): Promise<void> {
  await eventually(
    "the engine is idle",
    async () =>
      (JSON.parse((await callEngine(target.socketPath, "/slots")).text) as { is_processing: boolean }[]).every(
        (slot) => !slot.is_processing,
      ),
    IDLE_WITHIN_MS,
  );
}

/** One prompt on an idle engine. Throws where no whole answer comes. */
export async function prefillOnce(
  target: Target,
  messages: readonly ChatTurn[],
): Promise<PrefillSample & { readonly promptTokens: number }> {
  const sentAt = performance.now();
  const seen = whole(await streamChat(target, chatBody(messages, 1)));
  return {
    before: seen.cachedTokens,
    tokens: seen.promptTokens - seen.cachedTokens,
    ms: firstAt(seen) - sentAt,
    promptTokens: seen.promptTokens,
  };
}

/** So many streams at once; the step while all of them decode. */
export async function decodeAt(
  target: Target,
  prompts: readonly (readonly ChatTurn[])[],
  tokens: number,
): Promise<DecodeSample> {
  const all = await Promise.all(
    prompts.map(async (messages) => whole(await streamChat(target, chatBody(messages, tokens)))),
  );
  const from = Math.max(...all.map(firstAt));
  const to = Math.min(...all.map((seen) => seen.tokenTimes.at(-1) ?? 0));
  const within = all.map((seen) => seen.tokenTimes.filter((time) => time >= from && time <= to).length);
  const steps = within.reduce((sum, count) => sum + count, 0) / all.length - 1;
  if (steps < 4) throw new Error(`only ${steps} steps were common to ${all.length} streams: ask for more tokens`);
  const kvTokens = all.reduce((sum, seen) => sum + seen.promptTokens + seen.completionTokens / 2, 0);
  return { active: all.length, kvTokens, ms: (to - from) / steps };
}

/** A prompt that comes while others decode. */
export async function prefillBeside(
  target: { readonly socketPath: string },
  others: readonly (readonly ChatTurn[])[],
  messages: readonly ChatTurn[],
  batchTokens: number,
): Promise<MixedSample> {
  const leave = new AbortController();
  const running = others.map((turns) => streamChat(target, chatBody(turns, 1500), { signal: leave.signal }));
  // They are short prompts: decoding by the time a few tokens have passed.
  await streamChat(target, chatBody([{ role: "user", content: "Hello." }], 12));
  const sample = await prefillOnce(target, messages);
  leave.abort();
  const seen = await Promise.all(running);
  await idle(target);
  // Counted from what came before the client left.
  const kvTokens = seen.reduce((sum, { tokenTimes }) => sum + 40 + tokenTimes.length, 0);
  return { ...sample, active: others.length, kvTokens, batchTokens };
}

const firstAt = (seen: Seen): number => seen.tokenTimes[0] ?? Number.NaN;

export function whole(seen: Seen): Seen {
  if (!seen.complete || seen.tokenTimes.length === 0)
    throw new Error(`no whole answer (${seen.status}): ${seen.error ?? seen.content.slice(0, 100)}`);
  return seen;
}
