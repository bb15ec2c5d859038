import type { AssistantHandlers, InfoResponse, LoadedService } from "../../api/assistant-service.ts";
import { presentable } from "../../core/errors.ts";
import { mayUse } from "../../inference/resolve.ts";
import { bearerOf } from "../front/keys.ts";
import { type ForwardOptions, forward } from "./forward.ts";
import { streamReply, wholeReply } from "./sink.ts";
import { failureStatus } from "./status.ts";

export interface HandlerOptions extends ForwardOptions {
  readonly grpc: LoadedService["grpc"];
  readonly info: () => InfoResponse;
}

/** The three calls of assistant.AssistantService. */
export function makeHandlers(options: HandlerOptions): AssistantHandlers {
  const { grpc, authorizer, info, log } = options;
  return {
    forwardRequest: (call, callback) => void forward(options, call, wholeReply(grpc, call, callback)),
    forwardRequestStream: (call) => void forward(options, call, streamReply(grpc, call)),
    getInfo: (call, callback) => {
      try {
        const { caller } = authorizer.authorize(
          bearerOf(call.metadata.get("authorization")[0]?.toString()),
          "inference",
        );
        const found = info();
        const modelDetails = found.modelDetails.filter((model) => mayUse(caller, model));
        callback(null, { ...found, models: modelDetails.map(({ name }) => name), modelDetails });
      } catch (thrown) {
        const error = presentable(thrown);
        if (error.code === "internal") log.error({ err: thrown }, "GetInfo failed");
        callback(failureStatus(grpc, error));
      }
    },
  };
}
