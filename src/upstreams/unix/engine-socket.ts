import { requestHeaders } from "../../api/headers.ts";
import type { AssistantError } from "../../core/errors.ts";
import type { AnswerSink } from "../../core/inference.ts";
import type { InstanceTraits } from "../../core/instance.ts";
import type { AnswerFacts, Retry, Sending, Upstream } from "../../core/upstream.ts";
import { deliver } from "../answer/delivery.ts";
import { receiverFor } from "../answer/receivers.ts";
import { asksUsage, encodeBody, pathOf, withUsage } from "../openai-body.ts";

import { Exchange, encodePost } from "./exchange.ts";
import { driveBody, StockReceiver } from "./stock.ts";

/** An engine on a Unix socket that speaks llama-server's HTTP. An answer's bytes go from socket to sink as they are. */
export class EngineSocket implements Upstream {
  readonly socketPath: string;
  readonly traits: InstanceTraits;

  constructor(socketPath: string, traits: InstanceTraits) {
    this.socketPath = socketPath;
    this.traits = traits;
  }

  send(sending: Sending, sink: AnswerSink): Promise<AnswerFacts> {
    const { call, model, headers, scope } = sending;
    const { operation, streamed } = call;
    // An engine that does not notice disconnects is made to stream.
    const driven = operation !== "embedding" && !this.traits.noticesDisconnects ? operation : null;
    const scoped = scope.name !== "" && operation !== "embedding";
    let json = driven === null ? withUsage(call, model) : driveBody(call.body.json);
    if (scoped && scope.isContested && !this.traits.separatesCaches) json = { ...json, cache_prompt: false };
    // Only an answer of stated length ends exactly; a stream has its connection to itself.
    const reusable = !streamed && driven === null;
    const bytes = encodePost(pathOf[call.wire], encodeBody(call, json), reusable, scoped ? [`${requestHeaders.cacheScope}: ${scope.name}`] : []);
    const target = { sink, headers, model: model.name };
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
                if (driven === null || head.status !== 200 || !head.contentType.startsWith("text/event-stream")) return receiverFor(head, target);
                const wantsUsage = asksUsage(call) || model.includeUsage;
                const wantsProgress = call.body.json["return_progress"] === true;
                return new StockReceiver({ operation: driven, streamed, wantsUsage, wantsProgress }, target, head.framing);
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
