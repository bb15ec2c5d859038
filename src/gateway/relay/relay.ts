import { AssistantError, isAssistantError, toAssistantError } from "../../core/errors.ts";
import type { Lease } from "../../core/request.ts";
import { ClientGone, type Departure } from "../front/departure.ts";
import type { ClientStream } from "./client-stream.ts";
import type { EngineHead } from "./head.ts";
import { ErrorAnswer, FixedLength, RawChunks, type Receiver, Reframed, truncated } from "./receivers.ts";
import { makeStockReceiver, type StockDrive } from "./stock.ts";
import type { AnswerFacts } from "./tail.ts";
import { type CallPhase, UpstreamCall, type UpstreamRequest } from "./upstream.ts";

export interface RelayJob {
  readonly lease: Lease;
  readonly request: UpstreamRequest;
  readonly client: ClientStream;
  /** Headers of this answer alone, name, value, …; those of every answer are the client stream's. */
  readonly headers: readonly string[];
  readonly departure: Departure;
  /** Set where the engine is made to stream so that it notices departures. */
  readonly stock: StockDrive | null;
  /** Once, before the answer's end; `whole`: it has come in one piece with it. */
  readonly onFirstToken: (whole: boolean) => void;
}

/** The engine could not be reached; not a byte of the request was read, so that it may be sent to another. */
export class EngineUnreachable extends Error {
  constructor(cause: unknown) {
    super("the engine could not be reached", { cause });
    this.name = "EngineUnreachable";
  }
}

/** An engine's answer broke off after part of it had gone to the client. */
export class AnswerBroken extends Error {
  readonly reason: AssistantError;
  /** One more event may be appended: the stream broke between two. */
  readonly betweenEvents: boolean;

  constructor(reason: AssistantError, betweenEvents: boolean) {
    super(reason.message, { cause: reason });
    this.name = "AnswerBroken";
    this.reason = reason;
    this.betweenEvents = betweenEvents;
  }
}

/**
 * Sends one request to the leased engine and its answer to the client, until the answer is complete. Rejects with
 * `ClientGone`, `EngineUnreachable`, `AnswerBroken`, or the AssistantError that the engine's
 * answer amounts to. Unless the
 * answer is complete, the connection to the engine is closed when this settles.
 */
export const relay = (job: RelayJob): Promise<AnswerFacts> => new Promise((resolve, reject) => new Relay(job, resolve, reject).start());

class Relay {
  readonly #job: RelayJob;
  readonly #resolve: (facts: AnswerFacts) => void;
  readonly #reject: (error: unknown) => void;
  #call: UpstreamCall | null = null;
  #receiver: Receiver | null = null;
  #begun = false;
  #settled = false;

  constructor(job: RelayJob, resolve: (facts: AnswerFacts) => void, reject: (error: unknown) => void) {
    this.#job = job;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  start(): void {
    const { departure, lease, request } = this.#job;
    // Taken away between being chosen and being used: nothing was sent, another may take it.
    if (departure.cancelled || lease.lost.cancelled) {
      this.#settle(() => this.#reject(departure.cancelled ? new ClientGone() : new EngineUnreachable(lease.lost.reason)));
      return;
    }
    departure.onCancel = () => this.#settle(() => this.#reject(new ClientGone()));
    lease.lost.onCancel = this.#onLost;
    this.#call = new UpstreamCall(request, {
      onHead: (head) => this.#guard(() => this.#onHead(head)),
      onBody: (bytes) => this.#guard(() => this.#onBody(bytes)) ?? true,
      onEnd: (failure, phase) => this.#onEnd(failure, phase),
    });
  }

  readonly #onLost = (): void => this.#fail(lostError(this.#job.lease));

  #onHead(head: EngineHead): void {
    this.#receiver = this.#receiverFor(head);
  }

  #receiverFor(head: EngineHead): Receiver {
    const { client, headers, lease, stock } = this.#job;
    if (head.status !== 200) return new ErrorAnswer(head.status, head.framing, lease.model);
    const streams = head.contentType.startsWith("text/event-stream");
    if (!streams && !head.contentType.startsWith("application/json")) {
      throw new AssistantError("engine_error", `The engine of "${lease.model}" answered with the content type "${head.contentType}".`);
    }
    if (stock !== null && streams) return makeStockReceiver(stock, client, headers, lease.model, head.framing);
    const all = streams ? ["Content-Type", head.contentType, ...SSE_HEADERS, ...headers] : ["Content-Type", head.contentType, ...headers];
    const { framing } = head;
    if (framing.type === "length" && !client.headSent) return new FixedLength(client, framing.bytes, () => client.begin(200, all, { bytes: framing.bytes }));
    // A head that a keep-alive comment has sent is raw as well, unless the client speaks HTTP/1.0.
    const raw = framing.type === "chunked" && !client.isHttp10;
    const begin = (): void => client.begin(200, all, raw ? "raw" : "plain");
    return raw ? new RawChunks(client, begin) : new Reframed(client, framing, begin);
  }

  #onBody(bytes: Buffer): boolean {
    const receiver = this.#receiver as Receiver;
    const verdict = receiver.body(bytes);
    if (!this.#begun && receiver.begun) {
      this.#begun = true;
      this.#job.onFirstToken(verdict === "done");
    }
    if (verdict === "done") this.#complete();
    if (verdict === "pause") this.#job.client.onDrain(() => this.#call?.resume());
    return verdict !== "pause";
  }

  #onEnd(failure: Error | null, phase: CallPhase): void {
    if (phase === "connect") {
      this.#settle(() => this.#reject(new EngineUnreachable(failure)));
      return;
    }
    this.#guard(() => {
      if (this.#receiver === null) throw failure instanceof AssistantError ? failure : truncated();
      if (failure !== null) throw truncated();
      this.#receiver.closed();
      this.#complete();
    });
  }

  #guard<Result>(step: () => Result): Result | undefined {
    if (this.#settled) return undefined;
    try {
      return step();
    } catch (error) {
      this.#fail(error as Error);
      return undefined;
    }
  }

  #complete(): void {
    this.#settle(() => this.#resolve((this.#receiver as Receiver).facts()));
  }

  #fail(error: Error): void {
    const broken = this.#job.client.headSent ? new AnswerBroken(toAssistantError(error), this.#receiver?.betweenEvents() ?? true) : error;
    this.#settle(() => this.#reject(broken));
  }

  #settle(report: () => void): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#job.departure.onCancel = null;
    this.#job.lease.lost.onCancel = null;
    this.#call?.close();
    report();
    this.#receiver?.dispose();
  }
}

// Proxies in front of us must not collect tokens, and nothing may keep an answer.
const SSE_HEADERS = ["Cache-Control", "no-cache", "X-Accel-Buffering", "no"];

function lostError(lease: Lease): AssistantError {
  const { reason } = lease.lost;
  if (isAssistantError(reason) && reason.code === "engine_stopped") return reason;
  const why = reason?.message ?? "it was stopped";
  return new AssistantError("engine_lost", `The engine of "${lease.model}" was lost while it answered: ${why}`, { cause: reason });
}
