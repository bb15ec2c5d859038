import type { AssistantError } from "../core/errors.ts";
import type { AnswerSink, InferenceCall } from "../core/inference.ts";
import type { ModelSpec, Operation } from "../core/model.ts";
import type { Lease, RequestOutcome, Waiting } from "../core/request.ts";
import type { Span, SpanAttributes, Tracer } from "../core/trace.ts";
import type { AnswerFacts } from "../core/upstream.ts";
import { inputMessages, RecordingSink } from "./recorded-content.ts";

/** OpenTelemetry's names of operations, if they differ from ours. */
const operationNames: Partial<Record<Operation, string>> = { completion: "text_completion", embedding: "embeddings" };

export interface Attempt {
  readonly call: InferenceCall;
  readonly model: ModelSpec;
  /** 1-based, among those of this model. */
  readonly number: number;
  /** The model that cannot serve the call; null: this one was requested. */
  readonly instead: string | null;
}

interface AttemptEnd {
  readonly end: RequestOutcome["end"] | "rejected";
  readonly error: AssistantError | null;
  readonly facts: AnswerFacts;
}

/** The spans of one attempt to answer a call: a client call of a model in GenAI's conventions, and its phases. */
export class AttemptSpans {
  readonly span: Span;
  readonly #attempt: Attempt;
  readonly #startedAt: number;
  #loadingAt: number | null = null;
  #leasedAt: number | null = null;
  #firstTokenAt: number | null = null;
  #recording: RecordingSink | null = null;

  private constructor(span: Span, attempt: Attempt, startedAt: number) {
    this.span = span;
    this.#attempt = attempt;
    this.#startedAt = startedAt;
  }

  /** Null if the call is not traced. */
  static begin(tracer: Tracer | null, attempt: Attempt): AttemptSpans | null {
    const { call } = attempt;
    const parent = call.span ?? null;
    if (parent === null && tracer === null) return null;
    const name = `${operationNameOf(call)} ${attempt.model.name}`;
    const at = performance.now();
    const isSeen = parent === null || parent.isRecorded;
    const options = { kind: "client", at, ...(isSeen ? { attributes: attributesOf(attempt) } : {}) } as const;
    const span = parent?.child(name, options) ?? tracer?.begin(name, {}, options);
    return span === undefined ? null : new AttemptSpans(span, attempt, at);
  }

  waiting({ reason }: Waiting): void {
    if (reason === "loading") this.#loadingAt ??= performance.now();
  }

  leased({ targetId, upstream: { peer } }: Lease): void {
    this.#leasedAt = performance.now();
    this.span.set({
      "assistant.target": targetId,
      ...(peer === undefined
        ? {}
        : { "gen_ai.provider.name": peer.system, "server.address": peer.address, "server.port": peer.port }),
    });
  }

  /** `whole`: all of the answer has arrived with it, which says nothing about its first token. */
  firstToken(whole: boolean): void {
    if (!whole) this.#firstTokenAt ??= performance.now();
  }

  /** The sink for the answer: the given one, or one that records what it passes on to it. */
  recorded(sink: AnswerSink): AnswerSink {
    if (!this.span.recordsContent) return sink;
    const { call } = this.#attempt;
    this.span.set({ "gen_ai.input.messages": inputMessages(call) });
    this.#recording = new RecordingSink(sink, call);
    return this.#recording;
  }

  end({ end, error, facts }: AttemptEnd): void {
    const { span } = this;
    if (!span.isRecorded) return;
    const at = performance.now();
    for (const { name, from, to } of this.#phases(at, facts)) span.child(name, { at: from }).end({ at: to });
    const firstChunkMs = this.#firstTokenAt === null ? undefined : this.#firstTokenAt - this.#startedAt;
    span.set({
      "assistant.outcome": end,
      "error.type": error?.code ?? (end === "cancelled" ? "cancelled" : undefined),
      "gen_ai.response.model": end === "complete" ? this.#attempt.model.name : undefined,
      "gen_ai.output.messages": this.#recording?.outputMessages,
      "gen_ai.response.finish_reasons": facts.finishReason === null ? undefined : [facts.finishReason],
      "gen_ai.usage.input_tokens": facts.promptTokens ?? undefined,
      "gen_ai.usage.output_tokens": facts.completionTokens ?? undefined,
      "gen_ai.usage.cache_read.input_tokens": facts.cachedTokens ?? undefined,
      "gen_ai.response.time_to_first_chunk": firstChunkMs === undefined ? undefined : firstChunkMs / 1000,
    });
    // A message may quote what the user wrote.
    span.end({ at, error: error === null ? null : { message: error.code } });
  }

  #phases(endedAt: number, facts: AnswerFacts): readonly Phase[] {
    return phasesOf({
      startedAt: this.#startedAt,
      loadingAt: this.#loadingAt,
      leasedAt: this.#leasedAt,
      firstTokenAt: this.#firstTokenAt,
      endedAt,
      decodeMs: facts.completionMs,
      generates: this.#attempt.call.maxTokens !== 0,
    });
  }
}

interface Phase {
  readonly name: "queue" | "load" | "prefill" | "decode";
  /** Monotonic milliseconds. */
  readonly from: number;
  readonly to: number;
}

interface Moments {
  readonly startedAt: number;
  /** It began to wait for an instance to start. */
  readonly loadingAt: number | null;
  readonly leasedAt: number | null;
  /** Of a streamed answer. */
  readonly firstTokenAt: number | null;
  readonly endedAt: number;
  /** As reported by the target; null: not reported. */
  readonly decodeMs: number | null;
  /** False: its answer is computed from the prompt only. */
  readonly generates: boolean;
}

/** The phases of an attempt. For an answer in one piece, only its target can distinguish prefill from decode. */
export function phasesOf(moments: Moments): readonly Phase[] {
  const { startedAt, loadingAt, leasedAt, firstTokenAt, endedAt, decodeMs, generates } = moments;
  const phases: Phase[] = [];
  const servedAt = leasedAt ?? endedAt;
  phases.push({ name: "queue", from: startedAt, to: loadingAt ?? servedAt });
  if (loadingAt !== null) phases.push({ name: "load", from: loadingAt, to: servedAt });
  if (leasedAt === null) return phases;
  const decodesAt = firstTokenAt ?? (generates && decodeMs !== null ? Math.max(leasedAt, endedAt - decodeMs) : null);
  if (decodesAt !== null || !generates) phases.push({ name: "prefill", from: leasedAt, to: decodesAt ?? endedAt });
  if (decodesAt !== null) phases.push({ name: "decode", from: decodesAt, to: endedAt });
  return phases;
}

const operationNameOf = ({ operation }: Pick<InferenceCall, "operation">): string =>
  operationNames[operation] ?? operation;

function attributesOf({ call, model, number, instead }: Attempt): SpanAttributes {
  const { json } = call.body;
  return {
    "gen_ai.operation.name": operationNameOf(call),
    "gen_ai.provider.name": model.engine,
    "gen_ai.request.model": call.selector.model === "" ? model.name : call.selector.model,
    "gen_ai.request.stream": call.streamed ? true : undefined,
    "gen_ai.request.max_tokens": call.maxTokens === null || call.maxTokens === 0 ? undefined : call.maxTokens,
    ...Object.fromEntries(numbers.map(([field, name]) => [name, numberOf(json[field])])),
    "gen_ai.request.choice.count": json["n"] === 1 ? undefined : numberOf(json["n"]),
    "gen_ai.conversation.id": typeof json["conversation"] === "string" ? json["conversation"] : undefined,
    "assistant.tenant": call.caller.tenant,
    "assistant.request.id": call.id,
    "assistant.attempt": number,
    "assistant.fallback_for": instead ?? undefined,
  };
}

const numbers = [
  ["temperature", "gen_ai.request.temperature"],
  ["top_p", "gen_ai.request.top_p"],
  ["top_k", "gen_ai.request.top_k"],
  ["seed", "gen_ai.request.seed"],
  ["frequency_penalty", "gen_ai.request.frequency_penalty"],
  ["presence_penalty", "gen_ai.request.presence_penalty"],
] as const;

const numberOf = (value: unknown): number | undefined => (typeof value === "number" ? value : undefined);
