import type { PromptFacts, RequestFacts, RequestOutcome } from "../core/request.ts";
import { Rate } from "./measures.ts";
import { emptyPrefixes, type PrefixIndex, type PreviousTurn } from "./prefix/prefix-index.ts";

/**
 * Anything a request can be sent to, an instance here or a model on another node: its measurements, what it is assumed
 * to have cached, and what is in flight on it. Only a `Work` changes what is in flight.
 */
export abstract class Target {
  /** As used by effects and leases. */
  readonly id: string;
  /** Which targets of the model, of this kind, hold which prefixes. */
  readonly index: PrefixIndex<Target>;
  readonly prefixes = emptyPrefixes();
  readonly prefillRate = new Rate();
  readonly decodeRate = new Rate();
  /**
   * Rates of others that are used while this one has none, the most similar first; and tokens per millisecond before
   * any measurement.
   */
  readonly #similar: readonly Rate[];
  readonly #guessedPerMs: number;
  readonly inFlight = new Set<Work>();
  /** Of these, those that use no slot. */
  reads = 0;
  /** Outstanding tokens of requests in flight: of prompts without a first token, and of answers. */
  prefillTokens = 0;
  decodeTokens = 0;
  /**
   * Requests in flight without a first token, and since when it has worked on the first of their prompts (epoch ms).
   */
  unanswered = 0;
  busySince = 0;

  abstract readonly slots: number;
  /** Tokens of conversations that it keeps. */
  abstract readonly cacheTokens: number;
  /** Share of its slots that slow down one more answer. */
  abstract readonly busyShare: number;
  /** Milliseconds added to everything there: network time, and a load. */
  abstract readonly delayMs: number;
  /** Tokens of prompts parked for it. */
  abstract readonly expectedTokens: number;

  constructor(id: string, index: PrefixIndex<Target>, similar: readonly Rate[], guessedPerMs: number) {
    this.id = id;
    this.index = index;
    this.#similar = similar;
    this.#guessedPerMs = guessedPerMs;
  }

  /** Learns from an answer that has ended, for the target and its model. */
  abstract learnFrom(work: Work, outcome: RequestOutcome, now: number): void;

  get prefillPerMs(): number {
    return this.prefillRate.besides(this.similarPerMs);
  }

  /** The same for all targets of the model of this kind. */
  get similarPerMs(): number {
    for (const rate of this.#similar) if (rate.perMs !== null) return rate.perMs;
    return this.#guessedPerMs;
  }

  /** Whether its speed is more than a guess. */
  get isMeasured(): boolean {
    return this.prefillRate.perMs !== null || this.#similar[0]?.perMs !== null;
  }

  /** The model need not be loaded there first. */
  get isLoaded(): boolean {
    return true;
  }

  /** When it will have processed its prompts at its usual rate; 0 if it has none. */
  get prefilledAt(): number {
    return this.unanswered === 0 ? 0 : this.busySince + this.prefillTokens / this.prefillPerMs;
  }

  /** Milliseconds until then. At most one average prompt counts as done: the others wait for its first token. */
  prefillWaitMs(now: number): number {
    if (this.unanswered === 0) return 0;
    const wholeMs = this.prefillTokens / this.prefillPerMs;
    return wholeMs - Math.min(now - this.busySince, wholeMs / this.unanswered);
  }

  cachedTokens({ promptTokens, prefix }: PromptFacts): number {
    return Math.min(promptTokens, this.index.cachedTokens(this, prefix));
  }

  learnPrefill(tokens: number, ms: number): void {
    this.prefillRate.learn(tokens, ms);
    this.#similar[0]?.learn(tokens, ms);
  }

  /** A request begins or ends here. */
  enter(work: Work): void {
    this.inFlight.add(work);
    if (work.facts.slotless) this.reads += 1;
  }

  leave(work: Work): void {
    this.inFlight.delete(work);
    if (work.facts.slotless) this.reads -= 1;
    if (this.inFlight.size > 0) return;
    // Floating-point sums leave a remainder that would grow over a million requests.
    this.prefillTokens = 0;
    this.decodeTokens = 0;
  }

  /** Its first token came after `tookMs`. */
  answered(_work: Work, _tookMs: number): void {}
}

/**
 * A request in flight on a target: counts there from its creation to its release, exactly once. It alone writes its
 * fields.
 */
export class Work {
  readonly type = "running";
  readonly target: Target;
  readonly facts: RequestFacts;
  readonly startedAt: number;
  /** Prompt tokens that the index did not find, and expected tokens of the answer. */
  readonly prefillTokens: number;
  readonly decodeTokens: number;
  readonly #previousTurn: PreviousTurn | null;
  /** No other prompt was there when it arrived. */
  readonly alone: boolean;
  readonly wasLoaded: boolean;
  /** What the tenant was charged for it; maintained by dispatch.ts. */
  charged = 0;
  /** When its first token came, and the engine's time for its prompt without earlier ones; null before. */
  answeredAt: number | null = null;
  prefillMs: number | null = null;
  /** The first token came before the answer had ended. */
  streamed = false;
  #open = true;

  constructor(target: Target, facts: RequestFacts, cachedTokens: number, decodeTokens: number, now: number) {
    this.target = target;
    this.facts = facts;
    this.startedAt = now;
    this.prefillTokens = facts.promptTokens - cachedTokens;
    this.decodeTokens = decodeTokens;
    this.#previousTurn = target.index.begin(
      target,
      facts.prefix,
      facts.promptTokens + decodeTokens,
      target.cacheTokens,
    );
    this.wasLoaded = target.isLoaded;
    this.alone = target.unanswered === 0 && facts.slotless === undefined;
    if (this.alone) target.busySince = now;
    target.enter(this);
    if (facts.slotless) return;
    target.prefillTokens += this.prefillTokens;
    target.decodeTokens += decodeTokens;
    target.unanswered += 1;
  }

  get answering(): boolean {
    return this.answeredAt !== null;
  }

  /** Prompt tokens computed, as reported by the engine, otherwise as expected. */
  prefilled({ promptTokens, cachedTokens }: RequestOutcome): number {
    return promptTokens === null ? this.prefillTokens : promptTokens - (cachedTokens ?? 0);
  }

  /** The first token has arrived. */
  answer(now: number): void {
    const { target } = this;
    if (this.answering || this.facts.slotless) return;
    this.answeredAt = now;
    this.#prefillEnded();
    this.prefillMs = Math.max(0, now - Math.max(this.startedAt, target.busySince));
    target.busySince = now;
    target.answered(this, now - this.startedAt);
  }

  #prefillEnded(): void {
    this.target.unanswered -= 1;
    this.target.prefillTokens -= this.prefillTokens;
  }

  /** Releases what it counts for. Later calls do nothing. */
  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#open = false;
    if (!this.facts.slotless) {
      if (!this.answering) this.#prefillEnded();
      this.target.decodeTokens -= this.decodeTokens;
    }
    this.target.leave(this);
  }

  /** The answer has ended, successfully or not. */
  end(outcome: RequestOutcome, now: number): void {
    this.streamed = this.answering;
    // For an answer in one piece, the prompt was done at its first token, long before its first byte.
    if (outcome.end === "complete") this.answer(now - (outcome.completionMs ?? 0));
    this[Symbol.dispose]();
    const { index } = this.target;
    const tip = this.facts.prefix.at(-1);
    if (tip === undefined) return;
    index.reported(this.target, tip.hash, this.#previousTurn, outcome.promptTokens, outcome.cachedTokens);
    // A prompt that was abandoned, or crashed the engine, is not in the cache.
    if (outcome.end !== "complete" && !this.streamed) index.forget(this.target, tip.hash);
  }
}
