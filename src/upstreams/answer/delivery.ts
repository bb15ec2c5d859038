import { AssistantError, isAssistantError, presentable } from "../../core/errors.ts";
import type { AnswerSink } from "../../core/inference.ts";
import { type AnswerFacts, CallerGone, type Retry, SendFailure, type Sending } from "../../core/upstream.ts";
import { type Receiver, truncated } from "./receivers.ts";

/** The connection that an answer comes over. */
export interface AnswerSource {
  /** Resumes reading after `body` has returned false. */
  resume(): void;
  /** Ends the exchange. If the answer is incomplete, the target takes this as the order to stop. */
  close(): void;
}

export interface DeliveryOptions {
  readonly sending: Sending;
  readonly sink: AnswerSink;
  /** Whether the call may be retried after this failure, as long as its sink has received no answer. */
  retryAfter(reason: AssistantError): Retry;
  /** Opens the connection, which reports to the delivery. */
  open(delivery: Delivery): AnswerSource;
}

/**
 * Delivers one answer into its sink: until it is complete or fails, the caller disconnects, or the target is lost.
 * Rejects like `Upstream.send`.
 */
export const deliver = (options: DeliveryOptions): Promise<AnswerFacts> =>
  new Promise((resolve, reject) => new Delivery(options, resolve, reject).start());

export class Delivery {
  readonly #options: DeliveryOptions;
  readonly #resolve: (facts: AnswerFacts) => void;
  readonly #reject: (error: unknown) => void;
  #source: AnswerSource | null = null;
  #receiver: Receiver | null = null;
  #begun = false;
  #settled = false;

  constructor(options: DeliveryOptions, resolve: (facts: AnswerFacts) => void, reject: (error: unknown) => void) {
    this.#options = options;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  start(): void {
    const { call, lost } = this.#options.sending;
    if (call.cancellation.cancelled) this.#settle(() => this.#reject(new CallerGone()));
    // Lost between being chosen and being used: nothing was sent, another target may take it.
    else if (lost.reason !== null) this.unreachable(lost.reason);
    if (this.#settled) return;
    call.cancellation.onCancel = () => this.#settle(() => this.#reject(new CallerGone()));
    lost.onCancel = (reason) => this.fail(lostError(this.#options.sending, reason));
    try {
      const source = this.#options.open(this);
      if (this.#settled) source.close();
      else this.#source = source;
    } catch (error) {
      this.fail(error);
    }
  }

  /** The head has arrived: its receiver takes the body. */
  head(receiver: () => Receiver): void {
    if (this.#settled) return;
    try {
      this.#receiver = receiver();
    } catch (error) {
      this.fail(error);
    }
  }

  /** Bytes of the body, which the receiver may keep. False pauses the source until it is resumed. */
  body(bytes: Buffer): boolean {
    if (this.#settled) return true;
    try {
      return this.#take(bytes);
    } catch (error) {
      this.fail(error);
      return true;
    }
  }

  /** The target has closed the connection normally. */
  closed(): void {
    if (this.#settled) return;
    try {
      if (this.#receiver === null) throw truncated();
      this.#receiver.closed();
      this.#noteBegun(true);
      this.#complete();
    } catch (error) {
      this.fail(error);
    }
  }

  /** The connection broke. An error of its own code is more informative than the disconnect. */
  broken(failure: Error): void {
    this.fail(this.#receiver === null && isAssistantError(failure) ? failure : truncated());
  }

  /** The target could not be reached; not a byte of the call was read. */
  unreachable(cause: unknown): void {
    const reason = new AssistantError(
      "engine_lost",
      `The engine of "${this.#options.sending.model.name}" could not be reached.`,
      {
        remedy: "Try again; `assistant ps` shows the instance.",
        retryAfterS: 1,
        cause,
      },
    );
    this.#settle(() => this.#reject(new SendFailure(reason, "once")));
  }

  /** Any other exception is a bug, which another target would not fix. */
  fail(error: unknown): void {
    if (this.#settled) return;
    const reason = presentable(error);
    const betweenEvents = this.#receiver?.betweenEvents() ?? true;
    const isTorn = this.#options.sink.status !== null && !betweenEvents;
    const retry = isTorn || reason !== error ? "never" : this.#options.retryAfter(reason);
    this.#settle(() => this.#reject(new SendFailure(reason, retry, betweenEvents)));
  }

  #take(bytes: Buffer): boolean {
    const receiver = this.#receiver as Receiver;
    const verdict = receiver.body(bytes);
    this.#noteBegun(verdict === "done");
    if (verdict === "done") this.#complete();
    if (verdict === "pause") this.#options.sink.onDrain(() => this.#source?.resume());
    return verdict !== "pause";
  }

  #noteBegun(whole: boolean): void {
    if (this.#begun || !this.#receiver?.begun) return;
    this.#begun = true;
    this.#options.sending.onFirstToken(whole);
  }

  #complete(): void {
    this.#settle(() => this.#resolve((this.#receiver as Receiver).facts()));
  }

  #settle(report: () => void): void {
    if (this.#settled) return;
    this.#settled = true;
    const { call, lost } = this.#options.sending;
    call.cancellation.onCancel = null;
    lost.onCancel = null;
    this.#source?.close();
    report();
    this.#receiver?.dispose();
  }
}

function lostError({ model }: Sending, reason: Error): AssistantError {
  if (isAssistantError(reason) && reason.code === "engine_stopped") return reason;
  return new AssistantError(
    "engine_lost",
    `The engine of "${model.name}" was lost while it answered: ${reason.message}`,
    { cause: reason },
  );
}
