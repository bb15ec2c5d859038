import type { WireFormat } from "../../../core/inference.ts";
import type { Operation } from "../../../core/model.ts";
import type { Door, InferenceRoute } from "../../front/door.ts";
import { bearerDoor } from "../../front/error-body.ts";
import { checkContentType, decodeBody } from "./decode.ts";
import { type MemoryRoutesOptions, registerMemoryRoutes } from "./memory-routes.ts";

const routes: readonly (readonly [name: string, operation: Operation, wire: WireFormat])[] = [
  ["/v1/chat/completions", "chat", "openai.chat"],
  ["/v1/completions", "completion", "openai.completion"],
  ["/v1/embeddings", "embedding", "openai.embedding"],
];

/** OpenAI's API. Its paths answer without `/v1` too, for clients that were given the address alone. */
export const inferenceRoutes: readonly InferenceRoute[] = routes.flatMap(([name, operation, wire]) =>
  [name, name.replace("/v1", "")].map((path) => ({
    path,
    name,
    operation,
    wire,
    checkHeaders: checkContentType,
    decode: (bytes: Buffer) => decodeBody(operation, bytes),
  })),
);

export const openAiDoor = (options: MemoryRoutesOptions): Door => ({
  ...bearerDoor,
  name: "openai",
  inference: inferenceRoutes,
  register: (app) => registerMemoryRoutes(app, options),
});
