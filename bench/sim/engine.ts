import { emptyPrefixes, type InstancePrefixes, PrefixIndex } from "../../src/scheduler/prefix/prefix-index.ts";
import { type EngineRates, stepMs } from "../stub/time.ts";
import type { SimRequest } from "./requests.ts";

/** How fast a simulated instance is, and what it holds. */
export interface EngineProfile extends EngineRates {
  readonly slots: number;
  readonly batchTokens: number;
  /** Slots and host memory together. */
  readonly cacheTokens: number;
  /** Of one slot. Default: more than any request has. */
  readonly contextTokens?: number;
  readonly loadMs: number;
}

interface Job {
  readonly request: SimRequest;
  readonly cachedTokens: number;
  readonly startedAt: number;
  prefillLeft: number;
  outputLeft: number;
  firstTokenAt: number;
}

export interface EngineOutcome {
  readonly request: SimRequest;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly promptMs: number;
  readonly completionMs: number;
}

export interface EngineNews {
  readonly first: readonly SimRequest[];
  readonly done: readonly EngineOutcome[];
}

/**
 * A llama server in steps: each takes one token of every sequence that decodes and fills the batch with prompt tokens,
 * first come, first served. Steps that only decode are taken together until one of the answers ends.
 */
export class SimEngine {
  readonly profile: EngineProfile;
  readonly #cache = new PrefixIndex<{ readonly prefixes: InstancePrefixes }>();
  readonly #cacheOwner = { prefixes: emptyPrefixes() };
  readonly #prefilling: Job[] = [];
  #decoding: Job[] = [];
  /** The steps under way: when they began, how long one is, how many, and the prompt tokens in them. */
  #step: { readonly at: number; readonly ms: number; readonly count: number; readonly tokens: number } | null = null;
  busyMs = 0;

  constructor(profile: EngineProfile) {
    this.profile = profile;
  }

  get inFlight(): number {
    return this.#prefilling.length + this.#decoding.length;
  }

  /** When `advance` has something to say; null while idle. */
  get nextAt(): number | null {
    return this.#step === null ? null : this.#step.at + this.#step.ms * this.#step.count;
  }

  admit(request: SimRequest, now: number): void {
    const cached = this.#cache.cachedTokens(this.#cacheOwner, request.blocks);
    // The last token is always computed: the answer begins with what follows it.
    const cachedTokens = Math.min(cached, request.promptTokens - 1);
    this.#prefilling.push({
      request,
      cachedTokens,
      startedAt: now,
      prefillLeft: request.promptTokens - cachedTokens,
      outputLeft: request.outputTokens,
      firstTokenAt: 0,
    });
    const step = this.#step;
    if (step === null) this.#begin(now);
    else if (step.tokens === 0) {
      // A prompt joins at the next step, not when an answer ends.
      const count = Math.min(step.count, Math.max(1, Math.ceil((now - step.at) / step.ms)));
      this.#step = { ...step, count };
    }
  }

  /** Ends the steps that end at `now`. */
  advance(now: number): EngineNews {
    const step = this.#step;
    if (step === null) return { first: [], done: [] };
    this.busyMs += step.ms * step.count;
    const first: SimRequest[] = [];
    const done: EngineOutcome[] = [];
    for (const job of this.#decoding) job.outputLeft -= step.count;
    let tokens = step.tokens;
    while (tokens > 0) {
      const job = this.#prefilling[0];
      if (job === undefined) break;
      const taken = Math.min(tokens, job.prefillLeft);
      job.prefillLeft -= taken;
      tokens -= taken;
      if (job.prefillLeft > 0) break;
      this.#prefilling.shift();
      job.firstTokenAt = now;
      job.outputLeft -= 1;
      first.push(job.request);
      this.#decoding.push(job);
      const { blocks, promptTokens, outputTokens } = job.request;
      this.#cache.begin(this.#cacheOwner, blocks, promptTokens + outputTokens, this.profile.cacheTokens);
      this.#cache.rest(this.#cacheOwner, blocks.at(-1)?.hash ?? "");
    }
    const ended = this.#decoding.filter((job) => job.outputLeft <= 0);
    if (ended.length > 0) this.#decoding = this.#decoding.filter((job) => job.outputLeft > 0);
    for (const { request, cachedTokens, startedAt, firstTokenAt } of ended)
      done.push({
        request,
        promptTokens: request.promptTokens,
        cachedTokens,
        promptMs: firstTokenAt - startedAt,
        completionMs: now - firstTokenAt,
      });
    this.#step = null;
    this.#begin(now);
    return { first, done };
  }

  #begin(now: number): void {
    const decoding = this.#decoding.length;
    if (this.#prefilling.length > 0) {
      let tokens = 0;
      for (const job of this.#prefilling) tokens = Math.min(this.profile.batchTokens, tokens + job.prefillLeft);
      this.#step = { at: now, ms: stepMs(this.profile, { prefillTokens: tokens, decoding }), count: 1, tokens };
    } else if (this.#decoding.length > 0) {
      let count = Number.POSITIVE_INFINITY;
      for (const job of this.#decoding) count = Math.min(count, job.outputLeft);
      this.#step = {
        at: now,
        ms: stepMs(this.profile, { prefillTokens: 0, decoding }),
        count: Math.max(1, count),
        tokens: 0,
      };
    }
  }
}
