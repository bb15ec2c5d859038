import type { Cancellation } from "./cancellation.ts";
import type { AssistantError } from "./errors.ts";
import type { AnswerSink, InferenceCall } from "./inference.ts";
import type { ModelSpec } from "./model.ts";
import type { TraceHeaders } from "./trace.ts";

/** What the end of an answer says about it. Null where the target did not say. */
export interface AnswerFacts {
  readonly promptTokens: number | null;
  readonly cachedTokens: number | null;
  readonly completionTokens: number | null;
  readonly promptMs: number | null;
  readonly completionMs: number | null;
  readonly finishReason: string | null;
  /** Duration of the audio that was generated or transcribed. */
  readonly audioSeconds?: number;
}

export const NO_FACTS: AnswerFacts = {
  promptTokens: null,
  cachedTokens: null,
  completionTokens: null,
  promptMs: null,
  completionMs: null,
  finishReason: null,
};

/** Which cached prompts may serve a request. */
export interface CacheScope {
  /** Empty: shared by all. */
  readonly name: string;
  /**
   * Whether a target that cannot keep scopes apart must cache nothing of the prompt. Not where the only tenants are the
   * holder of the single key and this machine's own user.
   */
  readonly isContested: boolean;
}

/** One attempt to have a call answered. */
export interface Sending {
  readonly call: InferenceCall;
  readonly model: ModelSpec;
  readonly scope: CacheScope;
  /** Headers of the answer in addition to those of its content: name, value, … */
  readonly headers: readonly string[];
  /** Cancelled when the target dies or is stopped under the call. */
  readonly lost: Cancellation;
  /** For requests to other machines and services; missing: the call is part of no trace. */
  readonly trace?: TraceHeaders;
  /** Once, when part of the answer itself has come; `whole`: all of it, in one piece. */
  onFirstToken(whole: boolean): void;
}

/** What is at the other end, for traces. */
export interface Peer {
  /** In OpenTelemetry's list of GenAI providers, or a name like those. */
  readonly system: string;
  readonly address: string;
  readonly port: number;
}

/** The connection to one target: how a call is sent, and its answer streamed back. */
export interface Upstream {
  /** Missing: a process of this machine. */
  readonly peer?: Peer;
  /**
   * Sends the call and its answer into the sink, until the answer is complete and the sink was ended. Rejects with
   * `CallerGone` or a `SendFailure`; the sink is then still open. Unless the answer is complete, the target has been
   * told to stop when this settles.
   */
  send(sending: Sending, sink: AnswerSink): Promise<AnswerFacts>;
}

/**
 * Whether a call may be sent again while nothing of an answer has reached its sink. `once`: the target could not be
 * reached or died, which may well be what the call did to it. `elsewhere`: this target refused it or is away, which
 * says nothing about others.
 */
export type Retry = "never" | "once" | "elsewhere";

/** A call that a target did not answer. */
export class SendFailure extends Error {
  readonly reason: AssistantError;
  readonly retry: Retry;
  /** One more event may be appended to what the sink has: the stream broke between two. */
  readonly betweenEvents: boolean;

  constructor(reason: AssistantError, retry: Retry, betweenEvents = true) {
    super(reason.message, { cause: reason });
    this.name = "SendFailure";
    this.reason = reason;
    this.retry = retry;
    this.betweenEvents = betweenEvents;
  }
}

/** The reason of a call whose answer is no longer needed. There is no receiver for an error. */
export class CallerGone extends Error {
  constructor() {
    super("the client disconnected");
    this.name = "CallerGone";
  }
}
