import { type Job, StubEngine, type StubRequest } from "../../stub/engine.ts";
import { largeGpu } from "../../stub/parameters.ts";
import type { EngineNews, EngineOutcome, EngineProfile } from "../engine.ts";
import type { TurnRequest } from "./conversations.ts";

/**
 * Real slots and a host cache, whose choice of a slot and whose losses are llama-server's: those of the stub engine.
 */
export class SlotEngine {
  readonly #engine: StubEngine;
  readonly #requests = new Map<Job, TurnRequest>();
  #stepAt = 0;
  busyMs = 0;
  served = 0;

  constructor(profile: EngineProfile, engine?: StubEngine) {
    if (engine !== undefined) {
      this.#engine = engine;
      return;
    }
    const { slots, batchTokens, cacheTokens, contextTokens = 0 } = profile;
    this.#engine = new StubEngine({
      // A byte is a token.
      parameters: {
        ...largeGpu,
        prefillPairMs: 0,
        promptBaseMs: 0,
        decodeKvMsPerToken: 0,
        ...profile,
        bytesPerToken: 1,
        templateTokens: 0,
      },
      slots,
      batchTokens,
      hostCacheTokens: Math.max(0, cacheTokens - slots * contextTokens),
      random: () => 0.5,
      noise: 0,
    });
  }

  get nextAt(): number | null {
    return this.#engine.nextAt;
  }

  admit(request: TurnRequest, now: number): void {
    const idle = this.#engine.nextAt === null;
    const job = this.#engine.admit(stubRequest(request), now);
    this.#requests.set(job, request);
    this.served += 1;
    if (idle) this.#stepAt = now;
  }

  /** Milliseconds from `now` until the request would have its first token here, if nothing else came. */
  foresee(request: TurnRequest, now: number): number {
    const engine = this.#engine.clone();
    const own = engine.admit(stubRequest(request), now);
    for (let at = engine.nextAt; at !== null; at = engine.nextAt) {
      for (const job of engine.advance(at)) {
        if (job === own) return at - now;
      }
    }
    throw new Error("the engine never answers");
  }

  advance(now: number): EngineNews {
    this.busyMs += now - this.#stepAt;
    this.#stepAt = now;
    const first: TurnRequest[] = [];
    const done: EngineOutcome[] = [];
    for (const job of this.#engine.advance(now)) {
      const request = this.#requests.get(job);
      if (request === undefined) continue;
      if (job.decoded === 1) first.push(request);
      if (job.decoded < request.outputTokens) continue;
      this.#requests.delete(job);
      const { promptTokens, cachedTokens, startedAt, firstTokenAt } = job;
      done.push({
        request,
        promptTokens,
        cachedTokens,
        promptMs: firstTokenAt - startedAt,
        completionMs: now - firstTokenAt,
      });
    }
    return { first, done };
  }
}

const stubRequest = ({ prompt, outputTokens, answer }: TurnRequest): StubRequest => ({
  ...{ prompt, outputTokens, slot: null, reuse: true },
  answerText: (tokens) => answer.toString("latin1", 0, tokens),
});
