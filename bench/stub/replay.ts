import { seededRandom } from "../../test/support/random.ts";
import { poissonGapMs } from "../sim/requests.ts";
import { streamChat, type Target } from "../workloads/stream.ts";
import { type ChatTurn, chatBody, prose, whole } from "./probes.ts";

interface MixedRequest {
  readonly atMs: number;
  readonly messages: readonly ChatTurn[];
  readonly maxTokens: number;
}

export interface Replayed {
  readonly ttftMs: number;
  readonly totalMs: number;
  readonly cachedTokens: number;
}

/** Prompts that the fit has not seen: short and long ones, a third of them next turns, on average one in `gapMs`. */
export function heldOutMix(count: number, gapMs: number, seed: number): MixedRequest[] {
  const random = seededRandom(seed);
  const mix: MixedRequest[] = [];
  let atMs = 0;
  for (let index = 0; index < count; index++) {
    const earlier = mix[Math.floor(random() * mix.length)];
    const ask: ChatTurn = { role: "user", content: prose(10_000 + index, 60 + 2400 * random() ** 2, random) };
    const next = earlier !== undefined && earlier.messages.length < 4 && random() < 0.33;
    const messages = next
      ? [...earlier.messages, { role: "assistant", content: prose(20_000 + index, 120, random) }, ask]
      : [ask];
    mix.push({ atMs, messages, maxTokens: 8 + Math.floor(random() * 56) });
    atMs += poissonGapMs(random, 1000 / gapMs);
  }
  return mix;
}

/** Sends each request when it is due, whatever has become of the others. */
export function replayMix(target: Target, mix: readonly MixedRequest[]): Promise<Replayed[]> {
  const startedAt = performance.now();
  return Promise.all(
    mix.map(async ({ atMs, messages, maxTokens }) => {
      await new Promise((resolve) => setTimeout(resolve, atMs));
      const dueAt = startedAt + atMs;
      const seen = whole(await streamChat(target, chatBody(messages, maxTokens)));
      return {
        ttftMs: (seen.tokenTimes[0] ?? Number.NaN) - dueAt,
        totalMs: seen.endedAt - dueAt,
        cachedTokens: seen.cachedTokens,
      };
    }),
  );
}
