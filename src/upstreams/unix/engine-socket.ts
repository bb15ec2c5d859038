import { requestHeaders } from "../../api/headers.ts";
import type { AssistantError } from "../../core/errors.ts";
import type { AnswerSink } from "../../core/inference.ts";
import type { InstanceTraits } from "../../core/instance.ts";
import { type AnswerFacts, type Retry, SendFailure, type Sending, type Upstream } from "../../core/upstream.ts";
import { deliver } from "../answer/delivery.ts";
import { receiverFor } from "../answer/receivers.ts";
import { encodeBody, pathOf, withUsage } from "../openai-body.ts";
import { Abilities, needsAbilities } from "./abilities.ts";
import { DrivenReceiver, driveBody, driveOf, refuseSlot } from "./driven.ts";
import { Exchange, encodePost } from "./exchange.ts";

/** An engine on a Unix socket that speaks llama-server's HTTP. An answer's bytes go from socket to sink as they are. */
export class EngineSocket implements Upstream {
  readonly socketPath: string;
  readonly traits: InstanceTraits;
  readonly #abilities: Abilities;

  constructor(socketPath: string, traits: InstanceTraits) {
    this.socketPath = socketPath;
    this.traits = traits;
    this.#abilities = new Abilities(socketPath);
  }

  async send(sending: Sending, sink: AnswerSink): Promise<AnswerFacts> {
    const { call, model } = sending;
    if (!needsAbilities(call)) return this.#send(sending, sink);
    const lack = await this.#abilities.lacks(call, model.name);
    if (lack !== null) throw new SendFailure(lack, "never");
    return this.#send(sending, sink);
  }

  #send(sending: Sending, sink: AnswerSink): Promise<AnswerFacts> {
    const { call, model, headers, scope } = sending;
    const { operation, streamed } = call;
    if (!this.traits.noticesDisconnects) refuseSlot(call.body.json);
    const driven = driveOf(call, model, this.traits);
    const scoped = scope.name !== "" && operation !== "embedding";
    let json = driven === null ? withUsage(call, model) : driveBody(call.body.json, driven);
    if (scoped && scope.isContested && !this.traits.separatesCaches) json = { ...json, cache_prompt: false };
    // Looked at before: it is the model's own.
    if (operation === "embedding" && json["dimensions"] !== undefined) json = { ...json, dimensions: undefined };
    // Only an answer of stated length ends exactly; a stream has its connection to itself.
    const reusable = !streamed && driven === null;
    const bytes = encodePost(
      pathOf[call.wire],
      encodeBody(call, json),
      reusable,
      scoped ? [`${requestHeaders.cacheScope}: ${scope.name}`] : [],
    );
    const target = { sink, headers, model: model.name, operation };
    return deliver({
      sending,
      sink,
      retryAfter,
      open: (delivery) =>
        new Exchange(
          { socketPath: this.socketPath, bytes, reusable },
          {
            onHead: (head) =>
              delivery.head(() => {
                if (driven === null || head.status !== 200 || !head.contentType.startsWith("text/event-stream"))
                  return receiverFor(head, target);
                return new DrivenReceiver(driven, target, head.framing);
              }),
            onBody: (body) => delivery.body(body),
            onEnd: (failure, phase) => {
              if (phase === "connect") delivery.unreachable(failure);
              else if (failure === null) delivery.closed();
              else delivery.broken(failure);
            },
          },
        ),
    });
  }
}

const retryAfter = ({ code }: AssistantError): Retry => (code === "engine_lost" ? "once" : "never");
