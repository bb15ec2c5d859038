import { traitsOf } from "../core/engine.ts";
import { AssistantError, presentable, toAssistantError } from "../core/errors.ts";
import type { AnswerSink, CallOrigin, InferenceCall, WireFormat } from "../core/inference.ts";
import type { ModelSpec } from "../core/model.ts";
import type { Mutable } from "../core/mutable.ts";
import type { FinishedRequest, Lease, Pause, RequestFacts, RequestOutcome, Waiting } from "../core/request.ts";
import { type AnswerFacts, type CacheScope, CallerGone, NO_FACTS, type Retry, SendFailure } from "../core/upstream.ts";
import { adapterPart } from "./adapters.ts";
import { AttemptSpans } from "./attempt-spans.ts";
import { cacheScopeOf } from "./cache-scope.ts";
import { fingerprintByLength } from "./fingerprint.ts";
import type { InferencePorts } from "./ports.ts";
import { requireFeatures, requireSlot, resolveModel, resolveModels } from "./resolve.ts";
import { singleCallSink, wantsSingleCall } from "./single-call.ts";
import { DEFAULT_SIGNAL_TIMES, WaitingSignals, waitHeaders } from "./waiting.ts";

/** How often a call is sent in total, as long as no part of an answer has arrived. */
const MAX_TRIES: Readonly<Record<Retry, number>> = { never: 1, once: 2, elsewhere: 5 };

/**
 * Operations that a model's program answers while all its slots are busy: about its vocabulary, its template, and
 * itself.
 */
const SLOTLESS: ReadonlySet<WireFormat> = new Set([
  "llamacpp.tokenize",
  "llamacpp.detokenize",
  "llamacpp.template",
  "llamacpp.tokens",
  "llamacpp.props",
  "llamacpp.adapters",
]);

/** Assumed tokens of an answer whose call sets no limit, for the scheduler's estimate of the work. */
const DEFAULT_ANSWER_TOKENS = 256;

/** The only path to a model. Takes a call, has it answered into its sink, and writes its line in the request log. */
export class InferenceCore {
  readonly #ports: Required<InferencePorts>;

  constructor(ports: InferencePorts) {
    const { log } = ports;
    this.#ports = {
      logRequest: (level, fields) => log[level](fields, "request"),
      fingerprint: fingerprintByLength,
      maxMessages: () => Number.POSITIVE_INFINITY,
      signalTimes: DEFAULT_SIGNAL_TIMES,
      tracer: null,
      ...ports,
    };
  }

  /** Resolves when the call is over and its sink has been ended. Never rejects: errors go to the sink. */
  async run(call: InferenceCall, sink: AnswerSink): Promise<void> {
    await new Run(this.#ports, call, sink).run();
  }

  /**
   * Resolves once the model of a call is ready for it, wherever that is; nothing is sent. Rejects with the reason of a
   * failure.
   */
  async load(call: InferenceCall): Promise<void> {
    const { directory, dispatcher } = this.#ports;
    const { id, caller, priority, deadlineAt, hops, cancellation } = call;
    const model = resolveModel(directory, call).name;
    const facts = {
      id,
      model,
      tenant: caller.tenant,
      priority,
      promptTokens: 0,
      maxTokens: 0,
      prefix: [],
      deadlineAt,
      hops,
    };
    (await dispatcher.acquire(facts, cancellation))[Symbol.dispose]();
  }

  /** A call that could not be parsed: its sink fails, and it is logged like any other. */
  refuse(origin: CallOrigin, sink: AnswerSink, error: unknown): void {
    new Run(this.#ports, origin, sink).refuse(error);
  }
}

/** One call from its arrival to its line in the log. */
class Run {
  readonly #ports: Required<InferencePorts>;
  readonly #origin: CallOrigin;
  readonly #sink: AnswerSink;
  #model: ModelSpec | null = null;
  #wait: Waiting | null = null;
  #signals: WaitingSignals | null = null;
  #lease: Lease | null = null;
  #spans: AttemptSpans | null = null;
  #attempts = 0;
  #firstTokenAt: number | null = null;
  #facts: AnswerFacts = NO_FACTS;
  #end: RequestOutcome["end"] | "rejected" = "rejected";
  #error: AssistantError | null = null;

  constructor(ports: Required<InferencePorts>, origin: CallOrigin, sink: AnswerSink) {
    this.#ports = ports;
    this.#origin = origin;
    this.#sink = sink;
  }

  async run(): Promise<void> {
    const call = this.#origin as InferenceCall;
    try {
      await this.#serve(call);
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#signals?.[Symbol.dispose]();
      this.#endSpans(this.#error);
      if (this.#error !== null) call.span?.set({ "error.type": this.#error.code });
      this.#log(call.streamed);
    }
  }

  refuse(error: unknown): void {
    this.#fail(error);
    this.#log(false);
  }

  async #serve(call: InferenceCall): Promise<void> {
    const { directory, log, maxMessages } = this.#ports;
    requireFewMessages(call, maxMessages());
    const models = resolveModels(directory, call, (capable) => this.#preferred(call, capable));
    for (const [index, model] of models.entries()) {
      this.#model = model;
      this.#lease = null;
      const next = models[index + 1];
      try {
        await this.#serveBy(call, model, index === 0 ? null : (models[0]?.name ?? null));
        return;
      } catch (error) {
        if (next === undefined || !this.#mayFallBack(error)) throw error;
        const reason = reasonOf(error);
        const { code } = reason;
        this.#endSpans(reason);
        log.warn({ id: call.id, model: model.name, code, fallback: next.name }, "using a fallback");
      }
    }
  }

  /** Models that could all serve the call, in the order in which they are tried. */
  #preferred({ prompt, cachePart, caller }: InferenceCall, models: readonly string[]): readonly string[] {
    const { dispatcher, fingerprint, tenancy } = this.#ports;
    const scope = cacheScopeOf(caller.tenant, cachePart, tenancy());
    return dispatcher.prefer?.(models, fingerprint(prompt, scope.name)) ?? models;
  }

  async #serveBy(given: InferenceCall, model: ModelSpec, instead: string | null): Promise<void> {
    const checked = checksRequests(model) ? undefined : given.checked?.();
    const call = checked === undefined ? given : { ...given, body: checked.body, prompt: checked.prompt };
    requireFeatures(this.#ports.directory, model, call);
    requireSlot(model, call);
    const adapters = adapterPart(call, model);
    const part = adapters === null ? call.cachePart : `${call.cachePart ?? ""}\n${adapters}`;
    const scope = cacheScopeOf(call.caller.tenant, part, this.#ports.tenancy());
    const facts = this.#requestFacts(call, model, scope);
    let failure: unknown = null;
    for (let number = 1; ; number++) {
      this.#attempts += 1;
      this.#spans = AttemptSpans.begin(this.#ports.tracer, { call, model, number, instead });
      const lease = await this.#acquire(call, facts).catch((error: unknown) => {
        // It existed a moment ago: the reason why it is gone is more informative than that it is unknown.
        throw failure !== null && toAssistantError(error).code === "model_not_found" ? failure : error;
      });
      this.#lease = lease;
      this.#spans?.leased(lease);
      try {
        this.#signals?.[Symbol.dispose]();
        this.#facts = await this.#send(call, model, scope, lease);
        this.#finish(lease, "complete");
        return;
      } catch (error) {
        const retry = this.#retryAfter(error);
        this.#finish(lease, retry === "elsewhere" ? "engine-error" : endOf(error), pauseAfter(error));
        if (number >= MAX_TRIES[retry]) throw error;
        failure = error;
        this.#endSpans(reasonOf(error));
      } finally {
        lease[Symbol.dispose]();
      }
    }
  }

  /**
   * The model could not serve the call, for reasons other than the call itself, and its sink has received no part of an
   * answer.
   */
  #mayFallBack(error: unknown): boolean {
    if (this.#firstTokenAt !== null || this.#origin.cancellation.cancelled) return false;
    const isTorn = error instanceof SendFailure && this.#sink.status !== null && !error.betweenEvents;
    const { code, status } = reasonOf(error);
    return !isTorn && !FINAL.has(code) && (status >= 500 || status === 429);
  }

  #requestFacts(call: InferenceCall, model: ModelSpec, scope: CacheScope): RequestFacts {
    const { id, caller, priority, deadlineAt, hops, reservation } = call;
    const { promptTokens, prefix } = this.#ports.fingerprint(call.prompt, scope.name);
    const facts: Mutable<RequestFacts> = {
      id,
      model: model.name,
      tenant: caller.tenant,
      priority,
      promptTokens,
      maxTokens: answerTokens(call, model),
      prefix,
      deadlineAt,
      hops,
    };
    const { capabilities } = call.selector;
    if (capabilities !== undefined) facts.capabilities = capabilities;
    if (reservation !== undefined) facts.reservation = reservation;
    if (SLOTLESS.has(call.wire)) facts.slotless = true;
    return facts;
  }

  #acquire(call: InferenceCall, facts: RequestFacts): Promise<Lease> {
    const sink = this.#sink;
    return this.#ports.dispatcher.acquire(facts, call.cancellation, (wait) => {
      // The initial state of the wait is reported in the answer's head.
      this.#wait ??= wait;
      this.#spans?.waiting(wait);
      if (sink.waiting === undefined) return;
      const model = ["x-assistant-model", headerText(facts.model)];
      this.#signals ??= new WaitingSignals(
        (now) => this.#signal(now, [...model, ...waitHeaders(now)]),
        this.#ports.signalTimes,
      );
      this.#signals.update(wait);
    });
  }

  /** Called by a timer, where an exception would crash the daemon. */
  #signal(wait: Waiting, headers: readonly string[]): void {
    try {
      this.#sink.waiting?.(wait, headers);
    } catch (err) {
      this.#ports.log.error({ id: this.#origin.id, err }, "a waiting caller could not be notified");
    }
  }

  #send(call: InferenceCall, model: ModelSpec, scope: CacheScope, lease: Lease): Promise<AnswerFacts> {
    const headers = ["x-assistant-model", headerText(model.name), "x-assistant-instance", headerText(lease.targetId)];
    headers.push("x-assistant-queue-ms", String(Math.round(lease.queuedMs)), ...waitHeaders(this.#wait));
    const onFirstToken = (whole: boolean): void => {
      this.#firstTokenAt = performance.now();
      this.#spans?.firstToken(whole);
      // For an answer in one piece, its end has all the information.
      if (!whole) lease.firstToken();
    };
    const sending = { call, model, scope, headers, lost: lease.lost, onFirstToken };
    const sink = wantsSingleCall(call) ? singleCallSink(this.#sink, call.streamed) : this.#sink;
    const spans = this.#spans;
    if (spans === null) return lease.upstream.send(sending, sink);
    return lease.upstream.send({ ...sending, trace: spans.span.headers }, spans.recorded(sink));
  }

  /** Until part of an answer has arrived, another target may be tried. */
  #retryAfter(error: unknown): Retry {
    const isAnswered = this.#firstTokenAt !== null || this.#origin.cancellation.cancelled;
    return !isAnswered && error instanceof SendFailure ? error.retry : "never";
  }

  #finish(lease: Lease, end: RequestOutcome["end"], pause: Pause | null = null): void {
    this.#end = end;
    const { promptTokens, cachedTokens, completionTokens, promptMs, completionMs } = this.#facts;
    const outcome = { end, promptTokens, cachedTokens, completionTokens, promptMs, completionMs };
    lease.finish(pause === null ? outcome : { ...outcome, pause });
  }

  #endSpans(error: AssistantError | null): void {
    this.#spans?.end({ end: this.#end, error, facts: this.#facts });
    this.#spans = null;
  }

  /** Reports to the caller, in whatever way is still possible, why there is no answer or no more of it. */
  #fail(thrown: unknown): void {
    const { id, cancellation } = this.#origin;
    if (thrown instanceof CallerGone || cancellation.cancelled) {
      this.#end = "cancelled";
      this.#sink.abort();
      return;
    }
    const failure = thrown instanceof SendFailure ? thrown : null;
    const error = presentable(failure?.reason ?? thrown);
    this.#error = error;
    if (error.code === "internal") this.#ports.log.error({ id, err: thrown }, "a request failed inside the daemon");
    const instance = this.#lease === null ? [] : ["x-assistant-instance", headerText(this.#lease.targetId)];
    const model = this.#model === null ? [] : ["x-assistant-model", headerText(this.#model.name)];
    this.#sink.fail(error, [...model, ...instance], failure?.betweenEvents ?? true);
  }

  #log(stream: boolean): void {
    const { id, clientId = null, caller, arrivedAt, route, span = null } = this.#origin;
    const { operation } = this.#origin as Partial<InferenceCall>;
    const { promptTokens, cachedTokens, completionTokens, promptMs, completionMs } = this.#facts;
    const { finishReason, audioSeconds } = this.#facts;
    const characters = this.#end === "complete" ? charactersOf(this.#origin as InferenceCall) : null;
    const fields: Mutable<FinishedRequest> = {
      id,
      route,
      model: this.#model?.name ?? null,
      instance: this.#lease?.targetId ?? null,
      tenant: caller.tenant,
      status: this.#end === "cancelled" ? null : this.#sink.status,
      stream,
      queueMs: rounded(this.#lease?.queuedMs ?? null),
      ttftMs: rounded(this.#firstTokenAt === null ? null : this.#firstTokenAt - arrivedAt),
      totalMs: rounded(performance.now() - arrivedAt),
      promptTokens,
      cachedTokens,
      completionTokens,
      promptMs,
      completionMs,
      finish: finishReason,
      end: this.#end,
    };
    if (clientId !== null) fields.clientId = clientId;
    if (span !== null) fields.traceId = span.traceId;
    if (operation !== undefined) fields.operation = operation;
    if (this.#model !== null) fields.system = this.#lease?.upstream.peer?.system ?? this.#model.engine;
    if (this.#attempts > 1) fields.attempts = this.#attempts;
    if (characters !== null) fields.characters = characters;
    if (audioSeconds !== undefined) fields.audioSeconds = audioSeconds;
    if (this.#error !== null) Object.assign(fields, errorFields(this.#error));
    this.#ports.logRequest(this.#error !== null && this.#error.status >= 500 ? "warn" : "info", fields);
  }
}

/** Throws `invalid_request`. An engine renders a prompt of many messages before it checks anything else. */
function requireFewMessages({ prompt: { messages } }: InferenceCall, most: number): void {
  if (!Array.isArray(messages) || messages.length <= most) return;
  throw new AssistantError("invalid_request", `A chat has at most ${most} messages; found ${messages.length}.`, {
    param: "messages",
    remedy: "Omit the oldest, or raise `[server] max_messages`.",
  });
}

/** Whether the target validates the fields of its requests: another machine, or a server with other fields. */
const checksRequests = ({ nodes, engine, source }: ModelSpec): boolean =>
  (nodes !== undefined && source.type !== "worker") || traitsOf(engine).checksRequests;

/** Maximum tokens of the answer, or the usual length without a limit. */
function answerTokens({ maxTokens }: InferenceCall, { load, sampling }: ModelSpec): number {
  const contextTokens = load.contextTokens || Number.MAX_SAFE_INTEGER;
  if (maxTokens !== null) return Math.min(maxTokens, contextTokens);
  return sampling.maxTokens >= 0 ? sampling.maxTokens : Math.min(DEFAULT_ANSWER_TOKENS, contextTokens);
}

/** The unit of speech metering; null if nothing was to be spoken. */
const charactersOf = ({ operation, prompt }: InferenceCall): number | null =>
  operation === "speech" && typeof prompt.text === "string" ? prompt.text.length : null;

/** These quote the body, and users' text does not belong in a log. */
const QUOTING: ReadonlySet<string> = new Set(["invalid_request", "invalid_json", "stage_failed"]);

const errorFields = ({ code, param, message }: AssistantError): object =>
  QUOTING.has(code) ? { code, param } : { code, error: message };

/** A name as a header value: non-ASCII characters are percent-encoded. */
const headerText = (name: string): string => (/^[\x20-\x7e]*$/.test(name) ? name : encodeURIComponent(name));

/**
 * How long a provider that rejects our key, or does not know the model, is not called again: the next request need not
 * repeat the failure.
 */
const REJECTED_PAUSE_MS = 10_000;

/** How long a provider asked not to be called, or will repeat its answer. */
function pauseAfter(error: unknown): Pause | null {
  if (!(error instanceof SendFailure)) return null;
  const { code, message, remedy, param, retryAfterS } = error.reason;
  if (code === "provider_busy") return { ms: (retryAfterS ?? 0) * 1000, code, message, remedy };
  const isLasting = code === "provider_rejected_key" || (code === "provider_error" && param === "model");
  return isLasting ? { ms: REJECTED_PAUSE_MS, code, message, remedy } : null;
}

/** They would be the same for any model. */
const FINAL: ReadonlySet<string> = new Set(["shutting_down", "deadline_exceeded", "internal"]);

const reasonOf = (error: unknown): AssistantError =>
  error instanceof SendFailure ? error.reason : toAssistantError(error);

function endOf(error: unknown): RequestOutcome["end"] {
  if (error instanceof CallerGone) return "cancelled";
  const reason = error instanceof SendFailure ? error.reason : error;
  return reason instanceof AssistantError && reason.status < 500 ? "client-error" : "engine-error";
}

const rounded = (milliseconds: number | null): number | null =>
  milliseconds === null ? null : Math.round(milliseconds * 10) / 10;
