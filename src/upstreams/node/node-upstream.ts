import type { ForwardRequest, ForwardResponse } from "../../api/assistant-service.ts";
import type { ListenAddress } from "../../core/config.ts";
import { AssistantError } from "../../core/errors.ts";
import type { AnswerSink } from "../../core/inference.ts";
import type { AnswerFacts, Peer, Retry, Sending, Upstream } from "../../core/upstream.ts";
import { type AnswerSource, type Delivery, deliver } from "../answer/delivery.ts";
import { type AnswerHead, receiverFor } from "../answer/receivers.ts";
import { forwardHeaders } from "../forward-headers.ts";
import { contentHeaders, HEADER_LENGTH, InferReceiver } from "../kserve/receiver.ts";
import { contentTypeOf, encodeBody, methodOf, pathOf, withSettings } from "../openai-body.ts";
import type { NodeChannel } from "./channel.ts";
import { failureOf } from "./failure.ts";

/** Wait for the end of a call whose answer is complete. */
const END_GRACE_MS = 1_000;

export interface NodeUpstreamOptions {
  /** The name of its `[[remote_servers]]` entry. */
  readonly node: string;
  readonly address: ListenAddress;
  /** This daemon's own id, which is added to the hop list. */
  readonly nodeId: string;
  readonly channel: NodeChannel;
  /** A call has received its first bytes, this long after it began. */
  onFirstByte(ms: number): void;
  /** A call is over. `failure`: gRPC's status if it failed; null also if its caller disconnected. */
  onEnd(failure: unknown): void;
}

/**
 * The daemon of another machine, over gRPC. Closing a call cancels the work there; a slow sink slows the machine down.
 */
export class NodeUpstream implements Upstream {
  readonly peer: Peer;
  readonly #options: NodeUpstreamOptions;
  #inFlight = 0;

  constructor(options: NodeUpstreamOptions) {
    this.#options = options;
    this.peer = { system: "assistant", address: options.address.host, port: options.address.port };
  }

  /** Our calls in progress on the machine. */
  get inFlight(): number {
    return this.#inFlight;
  }

  async send(sending: Sending, sink: AnswerSink): Promise<AnswerFacts> {
    const request = this.#requestOf(sending);
    return deliver({ sending, sink, retryAfter, open: (delivery) => this.#open(request, delivery, sending, sink) });
  }

  #open(
    request: ForwardRequest,
    delivery: Delivery,
    { call, headers, model }: Sending,
    sink: AnswerSink,
  ): AnswerSource {
    const { channel, node, onFirstByte, onEnd } = this.#options;
    const begunAt = performance.now();
    const stream = opened(node, () => channel.forward(request));
    const target = { sink, headers, model: model.name, operation: call.operation };
    let failure: unknown = null;
    let state: "waiting" | "answering" | "closed" = "waiting";
    this.#inFlight += 1;
    let isFirst = true;
    /** Of an answer with a content length. */
    let bytesLeft = Number.NaN;
    stream.on("data", (message: ForwardResponse) => {
      if (isFirst) {
        const head = headOf(message);
        if (head.framing.type === "length") bytesLeft = head.framing.bytes;
        delivery.head(() =>
          call.wire === "kserve.infer" && head.status === 200
            ? new InferReceiver(sink, tensorsIn(message), headers)
            : receiverFor(head, target),
        );
      }
      isFirst = false;
      if (message.body.length === 0) return;
      bytesLeft -= message.body.length;
      if (state === "waiting") {
        state = "answering";
        onFirstByte(performance.now() - begunAt);
      }
      if (!delivery.body(message.body)) stream.pause();
    });
    stream.on("error", (error) => {
      if (state === "closed") return;
      failure = error;
      delivery.fail(failureOf(node, error));
    });
    // Follows `error` if there is one.
    stream.on("end", () => {
      if (failure !== null) return;
      if (isFirst) delivery.fail(failureOf(node, new Error("it sent no answer")));
      else delivery.closed();
    });
    return {
      resume: () => void stream.resume(),
      close: () => {
        if (state === "closed") return;
        state = "closed";
        this.#inFlight -= 1;
        // A call that has delivered its answer ends by itself. Cancelling it would reset its HTTP/2 stream, and a
        // machine that sees many resets considers them an attack and closes the connection, with all other calls on it.
        if (bytesLeft === 0) cancelUnlessEnded(stream);
        else stream.cancel();
        onEnd(failure);
      },
    };
  }

  /** By the model's own name, with the headers that the daemon there needs to treat the call as this one would. */
  #requestOf(sending: Sending): ForwardRequest {
    const { call, model } = sending;
    const method = methodOf(call.wire);
    const path = pathOf[call.wire];
    const forwarded = forwardHeaders(sending, this.#options.nodeId);
    if (method === "GET") {
      const asked = `${path}?model=${encodeURIComponent(model.name)}`;
      return { path: asked, method, body: Buffer.alloc(0), headers: forwarded };
    }
    if (call.wire === "kserve.infer") {
      const verb = call.streamed ? "infer_stream" : "infer";
      const headers = { ...contentHeaders(call.body), ...forwarded };
      return { path: `/v2/models/${encodeURIComponent(model.name)}/${verb}`, method, body: call.body.bytes, headers };
    }
    const json = withSettings(call, model);
    // A name that is an alias here may be another model there.
    const body = encodeBody(call, json["model"] === model.name ? json : { ...json, model: model.name });
    return { path, method, body, headers: { "content-type": contentTypeOf(call), ...forwarded } };
  }
}

/** Throws on a channel that was closed since the target was chosen. */
function opened<Stream>(node: string, open: () => Stream): Stream {
  try {
    return open();
  } catch (cause) {
    throw new AssistantError("node_unavailable", `The remote server "${node}" was taken out of use.`, {
      remedy: "Send the request again.",
      cause,
    });
  }
}

function cancelUnlessEnded(stream: ReturnType<NodeChannel["forward"]>): void {
  const timer = setTimeout(() => stream.cancel(), END_GRACE_MS);
  const ended = (): void => clearTimeout(timer);
  timer.unref();
  stream.once("end", ended).once("error", ended).resume();
}

/** A content length is kept: it distinguishes a complete answer from a broken one. */
function headOf({ status, headers }: ForwardResponse): AnswerHead {
  const length = headers["content-length"];
  const framing =
    length !== undefined && /^\d{1,15}$/.test(length)
      ? ({ type: "length", bytes: Number(length) } as const)
      : ({ type: "until-close" } as const);
  return { status, contentType: headers["content-type"] ?? "", framing };
}

/** What the head of an inference response reports about its tensors. */
function tensorsIn({ headers }: ForwardResponse): ConstructorParameters<typeof InferReceiver>[1] {
  const length = Number(headers["content-length"] ?? Number.NaN);
  return {
    type: headers["content-type"] ?? "application/json",
    length: Number.isSafeInteger(length) ? length : undefined,
    headLength: headers[HEADER_LENGTH],
  };
}

/**
 * The machine is unreachable, busy, refused us or no longer has the model. Errors of the call itself apply to any
 * target.
 */
function retryAfter({ code, status }: AssistantError): Retry {
  if (code === "deadline_exceeded") return "never";
  return status >= 500 || status === 401 || status === 403 || status === 404 || status === 429 ? "elsewhere" : "never";
}
