import type { Endpoint } from "../../core/endpoint.ts";
import type { AnswerSink, InferenceCall } from "../../core/inference.ts";
import type { AnswerFacts, Sending, Upstream } from "../../core/upstream.ts";
import { deliver } from "../answer/delivery.ts";
import { brokenOff, refusalOf, retryOf, unreachable } from "../answer/worker-failure.ts";
import { noLlamaCpp } from "../openai-body.ts";
import { Exchange } from "../unix/exchange.ts";
import type { EngineHead } from "../unix/head.ts";
import { answerWriter } from "./answer.ts";
import { historyOf } from "./history.ts";
import { RefusalReceiver, TextReceiver } from "./receiver.ts";

/** A worker's URL: host and port of the connection, and the parts in the heads of its requests. */
export interface WorkerAddress {
  readonly endpoint: Endpoint;
  /** Of the `Host` header. */
  readonly host: string;
  /** With the query. */
  readonly path: string;
}

const HTTP_PORT = "80";

/** Of an `http:` URL. */
export function workerAddress(url: string): WorkerAddress {
  const { hostname, host, port, pathname, search } = new URL(url);
  return { endpoint: `${hostname}:${port || HTTP_PORT}`, host, path: `${pathname}${search}` };
}

/** A worker that accepts a form and returns text (protocol `form`). */
export class FormUpstream implements Upstream {
  readonly #url: string;
  readonly #endpoint: Endpoint;
  /** Up to the length of the body. */
  readonly #head: string;

  constructor(url: string) {
    const { endpoint, host, path } = workerAddress(url);
    this.#url = url;
    this.#endpoint = endpoint;
    this.#head = `POST ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: keep-alive\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: `;
  }

  async send(sending: Sending, sink: AnswerSink): Promise<AnswerFacts> {
    const { call, model, headers } = sending;
    if (call.wire !== "openai.chat" && call.wire !== "openai.completion") throw noLlamaCpp("The worker", model);
    const bytes = this.#encode(call);
    let receiver: TextReceiver | null = null;
    const receiverOf = (head: EngineHead): TextReceiver | RefusalReceiver => {
      if (head.status !== 200)
        return new RefusalReceiver(head, (text) => refusalOf(this.#url, head.status, text, "messages"));
      const writer = answerWriter({ call, sink, model: model.name, headers });
      receiver = new TextReceiver(head, writer, this.#url, call.streamed);
      return receiver;
    };
    let wasReached = false;
    return deliver({
      sending,
      sink,
      // If it exited while working on the request, the request may have caused it.
      retryAfter: (reason) => (wasReached && reason.code === "worker_unavailable" ? "once" : retryOf(reason)),
      open: (delivery) => {
        const exchange = new Exchange(
          { endpoint: this.#endpoint, bytes, reusable: true },
          {
            onHead: (head) => delivery.head(() => receiverOf(head)),
            onBody: (body) => delivery.body(body),
            onEnd: (failure, phase) => {
              wasReached = phase !== "connect";
              if (!wasReached) delivery.fail(unreachable(this.#url, failure));
              else if (failure === null && phase === "body") delivery.closed();
              else delivery.fail(brokenOff(this.#url, failure));
            },
          },
        );
        return { resume: () => exchange.resume(), close: () => exchange.close(receiver?.isWhole ?? false) };
      },
    });
  }

  #encode(call: InferenceCall): Buffer {
    const form = `input=${encodeURIComponent(JSON.stringify(historyOf(call)))}`;
    return Buffer.from(`${this.#head}${form.length}\r\n\r\n${form}`, "latin1");
  }
}
