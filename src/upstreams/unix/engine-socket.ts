import { requestHeaders } from "../../api/headers.ts";
import type { Endpoint } from "../../core/endpoint.ts";
import type { AnswerSink } from "../../core/inference.ts";
import type { InstanceTraits } from "../../core/instance.ts";
import { modelKinds } from "../../core/model.ts";
import { type AnswerFacts, SendFailure, type Sending, type Upstream } from "../../core/upstream.ts";
import { deliver } from "../answer/delivery.ts";
import { receiverFor } from "../answer/receivers.ts";
import { contentTypeOf, encodeBody, methodOf, pathOf, withSettings } from "../openai-body.ts";
import { Abilities, needsAbilities } from "./abilities.ts";
import { DrivenReceiver, driveBody, driveOf, refuseAdapters, refuseSlot, refuseWhole } from "./driven.ts";
import { encodeRequest, openExchange, retryLost } from "./exchange.ts";
import { sendRerank } from "./rerank.ts";

/**
 * An engine on a Unix socket with llama-server's HTTP interface. An answer's bytes are relayed from socket to sink
 * unchanged.
 */
export class EngineSocket implements Upstream {
  readonly endpoint: Endpoint;
  readonly traits: InstanceTraits;
  readonly #abilities: Abilities;

  constructor(endpoint: Endpoint, traits: InstanceTraits) {
    this.endpoint = endpoint;
    this.traits = traits;
    this.#abilities = new Abilities(endpoint);
  }

  async send(sending: Sending, sink: AnswerSink): Promise<AnswerFacts> {
    const { call, model } = sending;
    if (call.operation === "rerank") return sendRerank(this.endpoint, sending, sink);
    if (!needsAbilities(call)) return this.#send(sending, sink);
    const lack = await this.#abilities.lacks(call, model);
    if (lack !== null) throw new SendFailure(lack, "never");
    return this.#send(sending, sink);
  }

  #send(sending: Sending, sink: AnswerSink): Promise<AnswerFacts> {
    const { call, model, headers, scope } = sending;
    const { operation, streamed } = call;
    if (!this.traits.noticesDisconnects) {
      refuseSlot(call.body.json);
      refuseWhole(call);
    }
    if (!this.traits.separatesCaches) refuseAdapters(call.body.json);
    const driven = driveOf(call, model, this.traits);
    const scoped = scope.name !== "" && modelKinds[model.kind].generates;
    let json = driven === null ? withSettings(call, model) : driveBody(call.body.json, driven);
    if (scoped && scope.isContested && !this.traits.separatesCaches) json = { ...json, cache_prompt: false };
    // Checked before: it is the model's own.
    if (operation === "embedding" && json["dimensions"] !== undefined) json = { ...json, dimensions: undefined };
    // Only an answer with a content length ends exactly; a stream does not share its connection.
    const reusable = !streamed && driven === null;
    const bytes = encodeRequest(
      driven !== null && driven.gap !== null ? pathOf["llamacpp.infill"] : pathOf[call.wire],
      encodeBody(call, json),
      reusable,
      scoped ? [`${requestHeaders.cacheScope}: ${scope.name}`] : [],
      contentTypeOf(call),
      methodOf(call.wire),
    );
    const target = { sink, headers, model: model.name, operation, contextTokens: model.load.contextTokens };
    return deliver({
      sending,
      sink,
      retryAfter: retryLost,
      open: (delivery) =>
        openExchange({ endpoint: this.endpoint, bytes, reusable }, delivery, (head) => {
          if (driven === null || head.status !== 200 || !head.contentType.startsWith("text/event-stream"))
            return receiverFor(head, target);
          return new DrivenReceiver(driven, target, head.framing);
        }),
    });
  }
}
