import type { Endpoint } from "../../core/endpoint.ts";
import type { AnswerSink } from "../../core/inference.ts";
import type { AnswerFacts, Sending, Upstream } from "../../core/upstream.ts";
import { deliver } from "../answer/delivery.ts";
import { receiverFor } from "../answer/receivers.ts";
import { withModel } from "../json-members.ts";
import { contentTypeOf, encodeBody, methodOf, pathOf, withSettings } from "../openai-body.ts";
import { encodeRequest, openExchange, retryLost } from "./exchange.ts";

/**
 * A server on this machine with OpenAI's API, of which nothing else is known. Requests and answers pass through
 * unchanged, except for the model's name if the server has its own.
 */
export class OpenAiServer implements Upstream {
  readonly endpoint: Endpoint;

  constructor(endpoint: Endpoint) {
    this.endpoint = endpoint;
  }

  async send(sending: Sending, sink: AnswerSink): Promise<AnswerFacts> {
    const { call, model, headers, trace = {} } = sending;
    const bytes = encodeRequest(
      pathOf[call.wire],
      bodyOf(sending),
      false,
      Object.entries(trace).map(([name, value]) => `${name}: ${value}`),
      contentTypeOf(call),
      methodOf(call.wire),
    );
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

function bodyOf({ call, model }: Sending): Buffer {
  const json = withSettings(call, model);
  const name = model.command?.servedModel ?? "";
  if (name === "" || json["model"] === name) return encodeBody(call, json);
  // A form's fields are rewritten; in JSON nothing else changes.
  return call.body.form === undefined
    ? withModel(encodeBody(call, json), name)
    : encodeBody(call, { ...json, model: name });
}
