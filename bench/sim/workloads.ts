import { seededRandom } from "../../test/support/random.ts";
import { MODEL, poissonGapMs, type SimRequest } from "./requests.ts";

export interface Stream {
  readonly tenant: string;
  readonly perSecond: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
  /** Of its requests, milliseconds from the arrival. */
  readonly deadlineMs?: number;
  /** All gaps alike instead of a Poisson process. */
  readonly even?: boolean;
}

/** Requests of independent tenants that share no prefix. Prompts vary between half and one and a half of the mean. */
export function streams(list: readonly Stream[], forMs: number, seed: number): SimRequest[] {
  const requests: SimRequest[] = [];
  for (const [index, { tenant, perSecond, promptTokens, outputTokens, deadlineMs, even }] of list.entries()) {
    // A seed each: a stream beside others is the same stream as alone.
    const random = seededRandom(seed + index);
    let number = 0;
    const gapMs = (): number => (even === true ? 1000 / perSecond : poissonGapMs(random, perSecond));
    for (let at = gapMs(); at < forMs; at += gapMs()) {
      number += 1;
      const id = `${tenant}.${index}.${number}`;
      const tokens = Math.round(promptTokens * (0.5 + random()));
      const answer = Math.max(1, Math.round(outputTokens * (0.5 + random())));
      const request = {
        id,
        model: MODEL,
        tenant,
        priority: 50,
        at,
        promptTokens: tokens,
        outputTokens: answer,
        blocks: [{ hash: id, tokens }],
      };
      requests.push(deadlineMs === undefined ? request : { ...request, deadlineMs });
    }
  }
  return requests.sort((a, b) => a.at - b.at);
}

/** Requests for two models in turn. */
export function alternating(count: number, gapMs: number): SimRequest[] {
  return Array.from({ length: count }, (_, index) => ({
    id: `${index}`,
    model: index % 2 === 0 ? "first" : "second",
    tenant: "t",
    priority: 50,
    at: index * gapMs,
    promptTokens: 1000,
    outputTokens: 100,
    blocks: [{ hash: `${index}`, tokens: 1000 }],
  }));
}
