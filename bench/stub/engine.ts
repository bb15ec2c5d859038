import { type CacheSlot, SlotCaches } from "./caches.ts";
import type { EngineParameters } from "./parameters.ts";
import { pairsOf, stepMs } from "./time.ts";

export interface StubSettings {
  readonly parameters: EngineParameters;
  readonly slots: number;
  readonly batchTokens: number;
  readonly hostCacheTokens: number;
  /** 0–1, for the noise of a step; `noise` is its largest share of the step's time. */
  readonly random: () => number;
  readonly noise: number;
}

export interface StubRequest {
  readonly prompt: Buffer;
  readonly outputTokens: number;
  readonly slot: number | null;
  /** Whether a cached beginning may be used. */
  readonly reuse: boolean;
  /** Text of the answer so far, which the slot holds afterwards. */
  answerText(tokens: number): string;
}

/** One request on the engine. Others read it. */
export interface Job {
  readonly request: StubRequest;
  readonly promptTokens: number;
  cachedTokens: number;
  prefillLeft: number;
  decoded: number;
  slot: CacheSlot | null;
  /** Engine time, ms. */
  startedAt: number;
  firstTokenAt: number;
  left: boolean;
}

/**
 * A llama server in steps: each computes a token of every sequence that decodes and fills the batch with prompt tokens.
 * Slots are given first come, first served. It has no clock: the caller says what time it is. A request that is left
 * stops at the end of the step.
 */
export class StubEngine {
  readonly #settings: StubSettings;
  #caches: SlotCaches;
  #waiting: Job[] = [];
  #prefilling: Job[] = [];
  #decoding: Job[] = [];
  #step: { readonly endsAt: number; readonly takes: ReadonlyMap<Job, number> } | null = null;

  constructor(settings: StubSettings) {
    this.#settings = settings;
    this.#caches = new SlotCaches(settings.slots, settings.hostCacheTokens);
  }

  /** Another engine in the same state: what happens to one does not happen to the other. */
  clone(): StubEngine {
    const engine = new StubEngine(this.#settings);
    engine.#caches = this.#caches.clone();
    const copies = new Map<Job, Job>();
    const copied = (jobs: readonly Job[]): Job[] =>
      jobs.map((job) => {
        const copy = copies.get(job) ?? {
          ...job,
          slot: job.slot === null ? null : (engine.#caches.slots[job.slot.id] ?? null),
        };
        copies.set(job, copy);
        return copy;
      });
    engine.#waiting = copied(this.#waiting);
    engine.#prefilling = copied(this.#prefilling);
    engine.#decoding = copied(this.#decoding);
    const step = this.#step;
    if (step !== null)
      engine.#step = {
        endsAt: step.endsAt,
        takes: new Map([...step.takes].map(([job, tokens]) => [copied([job])[0] ?? job, tokens])),
      };
    return engine;
  }

  /** When the step under way ends; null while idle. */
  get nextAt(): number | null {
    return this.#step?.endsAt ?? null;
  }

  get active(): number {
    return this.#prefilling.length + this.#decoding.length;
  }

  /** The request in each slot. */
  jobs(): (Job | null)[] {
    const running = [...this.#prefilling, ...this.#decoding];
    return this.#caches.slots.map((slot) => running.find((job) => job.slot === slot) ?? null);
  }

  heldTokens(slot: number): number {
    return this.#caches.slots[slot]?.held.tokens ?? 0;
  }

  tokensOf(bytes: number): number {
    const { bytesPerToken, templateTokens } = this.#settings.parameters;
    return templateTokens + Math.ceil(bytes / bytesPerToken);
  }

  admit(request: StubRequest, now: number): Job {
    const promptTokens = this.tokensOf(request.prompt.length);
    const job: Job = {
      request,
      promptTokens,
      cachedTokens: 0,
      prefillLeft: 0,
      decoded: 0,
      slot: null,
      startedAt: now,
      firstTokenAt: 0,
      left: false,
    };
    this.#waiting.push(job);
    this.#seat(now);
    if (this.#step === null) this.#begin(now);
    return job;
  }

  /** Its client has gone. */
  leave(job: Job): void {
    job.left = true;
    this.#waiting = this.#waiting.filter((other) => other !== job);
  }

  /**
   * Ends the step under way, and begins the next one at `now` (not before its end). Returns who got a token, in order.
   */
  advance(now: number): Job[] {
    const step = this.#step;
    if (step === null) return [];
    const told: Job[] = [];
    for (const job of this.#decoding) this.#token(job, told);
    for (const [job, tokens] of step.takes) {
      job.prefillLeft -= tokens;
      if (job.prefillLeft === 0 && !job.left) {
        job.firstTokenAt = step.endsAt;
        this.#token(job, told);
        this.#decoding.push(job);
      }
    }
    const over = (job: Job): boolean => job.left || job.decoded >= job.request.outputTokens;
    for (const job of [...this.#decoding, ...this.#prefilling]) if (over(job)) this.#free(job);
    this.#decoding = this.#decoding.filter((job) => !over(job));
    this.#prefilling = this.#prefilling.filter((job) => job.prefillLeft > 0 && !over(job));
    this.#step = null;
    const at = Math.max(now, step.endsAt);
    this.#seat(at);
    this.#begin(at);
    return told;
  }

  #token(job: Job, told: Job[]): void {
    if (job.left) return;
    job.decoded += 1;
    told.push(job);
  }

  /** What the slot holds is what was computed. */
  #free(job: Job): void {
    const { bytesPerToken } = this.#settings.parameters;
    const done = job.promptTokens - job.prefillLeft;
    const { prompt } = job.request;
    const text =
      job.prefillLeft > 0
        ? prompt.subarray(0, Math.floor(done * bytesPerToken))
        : Buffer.concat([prompt, Buffer.from(job.request.answerText(job.decoded))]);
    if (job.slot !== null) this.#caches.give(job.slot, { text, tokens: done + job.decoded });
  }

  #seat(now: number): void {
    const { bytesPerToken, templateTokens } = this.#settings.parameters;
    this.#waiting = this.#waiting.filter((job) => {
      const { prompt, slot: wanted, reuse } = job.request;
      const place = this.#caches.take(prompt, wanted, reuse);
      if (place === null) return true;
      job.slot = place.slot;
      job.startedAt = now;
      const cached = place.bytes === 0 ? 0 : templateTokens + Math.floor(place.bytes / bytesPerToken);
      // The last token is always computed: the answer begins with what follows it.
      job.cachedTokens = Math.min(cached, job.promptTokens - 1);
      job.prefillLeft = job.promptTokens - job.cachedTokens;
      this.#prefilling.push(job);
      return false;
    });
  }

  #begin(now: number): void {
    if (this.active === 0) return;
    const { parameters, batchTokens, random, noise } = this.#settings;
    const takes = new Map<Job, number>();
    let room = Math.max(1, batchTokens - this.#decoding.length);
    let [prefillTokens, prefillPairs, prompts] = [0, 0, 0];
    // In the order of the slots, as llama-server fills its batch: a prompt in a lower slot goes before one that came
    // earlier.
    for (const job of this.#prefilling.toSorted((a, b) => (a.slot?.id ?? 0) - (b.slot?.id ?? 0))) {
      const tokens = Math.min(room, job.prefillLeft);
      if (tokens === 0) break;
      takes.set(job, tokens);
      const before = job.promptTokens - job.prefillLeft;
      prefillPairs += pairsOf(before, tokens);
      if (before === job.cachedTokens) prompts += 1;
      prefillTokens += tokens;
      room -= tokens;
    }
    const kvTokens = this.#decoding.reduce((sum, job) => sum + job.promptTokens + job.decoded, 0);
    const ms = stepMs(parameters, { prefillTokens, prefillPairs, prompts, decoding: this.#decoding.length, kvTokens });
    this.#step = { endsAt: now + ms * (1 + noise * (2 * random() - 1)), takes };
  }
}
