import type { Agent, Dispatcher } from "undici";
import { steadyClock } from "../../core/clock.ts";
import { AssistantError } from "../../core/errors.ts";
import type { AnswerSink } from "../../core/inference.ts";
import { type AnswerFacts, SendFailure, type Sending, type Upstream } from "../../core/upstream.ts";
import { type AnswerSource, type Delivery, deliver } from "../answer/delivery.ts";
import { brokenOff, retryOf, unreachable } from "../answer/worker-failure.ts";
import { contentHeaders, HEADER_LENGTH, InferReceiver, RefusalReceiver } from "./receiver.ts";

/** The worker's name of a model; "": no version. */
export type NameOf = (model: string) => { readonly name: string; readonly version: string };

/** A worker that implements the Open Inference Protocol over HTTP, with `infer_stream` for answers in several parts. */
export class KserveHttpUpstream implements Upstream {
  readonly #url: string;
  readonly #nameOf: NameOf;
  #agent: Agent | null = null;

  constructor(url: string, nameOf: NameOf) {
    this.#url = url.replace(/\/+$/, "");
    this.#nameOf = nameOf;
  }

  async send(sending: Sending, sink: AnswerSink): Promise<AnswerFacts> {
    if (sending.call.wire !== "kserve.infer")
      throw new SendFailure(
        new AssistantError("wrong_model_kind", `"${sending.model.name}" takes tensors alone.`, { param: "model" }),
        "never",
      );
    return deliver({ sending, sink, retryAfter: retryOf, open: (delivery) => this.#open(sending, sink, delivery) });
  }

  close(): void {
    void this.#agent?.close().catch(() => {});
  }

  async #post(path: string, options: Pick<Dispatcher.RequestOptions, "signal" | "headers" | "body">) {
    // A daemon without such workers does not load the library.
    const { Agent, request } = await import("undici");
    // A handler may take any time; the caller's deadline ends the wait.
    this.#agent ??= new Agent({ headersTimeout: 0, bodyTimeout: 0, connect: { timeout: 5_000 } });
    return request(`${this.#url}${path}`, { ...options, method: "POST", dispatcher: this.#agent });
  }

  #open({ call, model, headers }: Sending, sink: AnswerSink, delivery: Delivery): AnswerSource {
    const { body, streamed, clientId, id, deadlineAt } = call;
    const ended = new AbortController();
    let source: Dispatcher.ResponseData["body"] | null = null;
    const verb = streamed ? "infer_stream" : "infer";
    const { name, version } = this.#nameOf(model.name);
    const path = `${encodeURIComponent(name)}${version === "" ? "" : `/versions/${encodeURIComponent(version)}`}`;
    const sent = this.#post(`/v2/models/${path}/${verb}`, {
      signal: ended.signal,
      headers: {
        ...contentHeaders(body),
        "x-request-id": clientId ?? id,
        ...(deadlineAt === null
          ? {}
          : { "x-assistant-timeout-ms": String(Math.max(0, deadlineAt - steadyClock.now())) }),
      },
      body: body.bytes,
    });
    sent.then(
      ({ statusCode, headers: head, body: answer }) => {
        source = answer;
        delivery.head(() => {
          if (statusCode !== 200) return new RefusalReceiver(this.#url, statusCode);
          const length = Number(head["content-length"] ?? Number.NaN);
          const content = {
            type: String(head["content-type"] ?? "application/json"),
            length: Number.isSafeInteger(length) ? length : undefined,
            headLength: head[HEADER_LENGTH]?.toString(),
          };
          return new InferReceiver(sink, content, headers);
        });
        answer.on("data", (bytes: Buffer) => {
          if (!delivery.body(bytes)) answer.pause();
        });
        answer.on("end", () => delivery.closed());
        answer.on("error", (error) => delivery.fail(brokenOff(this.#url, error)));
      },
      (error: unknown) => delivery.fail(unreachable(this.#url, error)),
    );
    return { resume: () => void source?.resume(), close: () => ended.abort() };
  }
}
