import type { Endpoint } from "../../core/endpoint.ts";
import type { AnswerSink, JsonObject } from "../../core/inference.ts";
import type { AnswerFacts, Sending, Upstream } from "../../core/upstream.ts";
import { deliver } from "../answer/delivery.ts";
import { receiverFor } from "../answer/receivers.ts";
import { contentTypeOf, encodeBody, pathOf, withUsage } from "../openai-body.ts";
import { encodePost, openExchange, retryLost } from "./exchange.ts";

/**
 * A server on this machine that has OpenAI's API, and of which nothing else is known. Requests reach it as the client wrote them, but for the
 * model's name where it has its own, and its answers the client.
 */
export class OpenAiServer implements Upstream {
  readonly endpoint: Endpoint;

  constructor(endpoint: Endpoint) {
    this.endpoint = endpoint;
  }

  async send(sending: Sending, sink: AnswerSink): Promise<AnswerFacts> {
    const { call, model, headers } = sending;
    const json = named(withUsage(call, model), model.command?.servedModel ?? "");
    const bytes = encodePost(pathOf[call.wire], encodeBody(call, json), false, [], contentTypeOf(call));
    const target = { sink, headers, model: model.name, operation: call.operation };
    return deliver({
      sending,
      sink,
      retryAfter: retryLost,
      open: (delivery) =>
        openExchange({ endpoint: this.endpoint, bytes, reusable: false }, delivery, (head) =>
          receiverFor(head, target),
        ),
    });
  }
}

const named = (json: JsonObject, servedModel: string): JsonObject =>
  servedModel === "" || json["model"] === servedModel ? json : { ...json, model: servedModel };
