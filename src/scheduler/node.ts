import { type RemoteCandidate, type RemoteModel, remoteInstanceId } from "../core/remote.ts";
import type { Pause, PromptFacts, RequestOutcome } from "../core/request.ts";
import { Due } from "./due.ts";
import { Average, type ModelMeasures } from "./measures.ts";
import type { PrefixIndex } from "./prefix/prefix-index.ts";
import { Target, type Work } from "./target.ts";

/** Assumed tokens per millisecond without any measurement: only differences between nodes matter then. */
const GUESS = 1;
/** Assumed time of a load there before one was measured, here or there. */
const DEFAULT_LOAD_MS = 5_000;
/** Shorter cached prefixes are ignored: otherwise all work would follow a system prompt, regardless of weights. */
const MIN_CACHED_TOKENS = 256;

/** Another machine, or a provider, that accepts requests. */
export class NodeRecord {
  facts: RemoteCandidate;
  /** Requests it received ÷ weight: the node furthest behind its share has the lowest. */
  turns = 0;
  /** Our requests there, over all models. */
  inFlight = 0;

  constructor(facts: RemoteCandidate) {
    this.facts = facts;
  }

  get isFull(): boolean {
    return this.inFlight >= (this.facts.maxInFlight ?? Number.POSITIVE_INFINITY);
  }

  /** Turns after one more request; of two nodes without any, the one with the higher weight comes first. */
  get turnsAfter(): number {
    return this.turns + 1 / Math.max(1, this.facts.weight);
  }
}

/** A model on another node. */
export class NodeTarget extends Target {
  readonly model: ModelMeasures;
  readonly node: NodeRecord;
  facts: RemoteModel;
  /** Requests of others there, at the last measurement. */
  others = 0;
  /** How much longer an answer takes than its engine's work, milliseconds: network time and waits there. */
  readonly overheadMs = new Average();
  /** The same if the model was not loaded. */
  readonly loadMs = new Average();
  /** Armed after a refusal or a failure: no work until then; and the length of the pause. */
  readonly pause: Due<{ readonly type: "pause"; readonly name: string }>;
  pauseMs = 0;
  /** Reported to requests if the pause is longer than they should wait; null: unknown. */
  pauseReason: Pause | null = null;
  readonly expectedTokens = 0;

  constructor(
    node: NodeRecord,
    model: ModelMeasures & { readonly nodePrefixes: PrefixIndex<Target> },
    facts: RemoteModel,
  ) {
    super(remoteInstanceId(node.facts.name), model.nodePrefixes, [model.nodePrefillRate, model.prefillRate], GUESS);
    this.model = model;
    this.node = node;
    this.facts = facts;
    this.pause = new Due({ type: "pause", name: model.spec.name });
  }

  override get isMeasured(): boolean {
    return this.prefillRate.perMs !== null;
  }

  override get isLoaded(): boolean {
    return this.facts.loaded;
  }

  /** Unlike instances, nodes differ: measurements of others mean little once this one has its own. */
  override get prefillPerMs(): number {
    return this.prefillRate.perMs ?? this.similarPerMs;
  }

  get slots(): number {
    return Math.max(1, this.facts.slots);
  }

  get busyShare(): number {
    return Math.min(1, this.load);
  }

  get load(): number {
    return (this.inFlight.size + this.others + (this.facts.reservations?.size ?? 0)) / this.slots;
  }

  get delayMs(): number {
    const loadMs = this.isLoaded ? 0 : (this.loadMs.value ?? this.model.loadMs.value ?? DEFAULT_LOAD_MS);
    return (this.overheadMs.value ?? 0) + loadMs;
  }

  /** The node decides how much it keeps; at least what its slots hold. */
  get cacheTokens(): number {
    return this.slots * this.model.spec.load.contextTokens;
  }

  override enter(work: Work): void {
    super.enter(work);
    this.node.inFlight += 1;
  }

  override leave(work: Work): void {
    super.leave(work);
    this.node.inFlight -= 1;
  }

  override cachedTokens(facts: PromptFacts): number {
    const tokens = super.cachedTokens(facts);
    return tokens < MIN_CACHED_TOKENS ? 0 : tokens;
  }

  /** Rates and network times are learned from what the engine there reports, otherwise from the arrival of bytes. */
  learnFrom(work: Work, outcome: RequestOutcome, now: number): void {
    const { promptMs, completionMs, completionTokens } = outcome;
    const { answeredAt, startedAt } = work;
    const streamed = work.streamed && answeredAt !== null && answeredAt < now;
    const prefillMs = promptMs ?? (streamed ? answeredAt - startedAt : null);
    const decodeMs = completionMs ?? (streamed ? now - answeredAt : null);
    if (prefillMs !== null) this.learnPrefill(work.prefilled(outcome), prefillMs);
    if (completionTokens !== null) {
      if (decodeMs !== null) this.decodeRate.learn(completionTokens, decodeMs);
      this.model.completionTokens.learn(completionTokens);
    }
    if (promptMs === null || completionMs === null) return;
    (work.wasLoaded ? this.overheadMs : this.loadMs).learn(Math.max(0, now - startedAt - promptMs - completionMs));
  }
}
