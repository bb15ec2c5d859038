import type { WireFormat } from "../../../core/inference.ts";
import type { Door, InferenceRoute } from "../../front/door.ts";
import { bearerDoor } from "../../front/error-body.ts";
import { checkContentType, decodeBody } from "./decode.ts";
import type { Operation } from "./field-table.ts";
import { decodeImage } from "./images.ts";
import { type MemoryRoutesOptions, registerMemoryRoutes } from "./memory-routes.ts";
import { decodeRerank, decodeScore } from "./rerank.ts";

type Route = Pick<InferenceRoute, "name" | "operation" | "wire" | "decode">;

const listed = (name: string, operation: Operation, wire: WireFormat): Route => ({
  ...{ name, operation, wire },
  decode: (bytes) => decodeBody(operation, bytes),
});

const routes: readonly Route[] = [
  listed("/v1/chat/completions", "chat", "openai.chat"),
  listed("/v1/completions", "completion", "openai.completion"),
  listed("/v1/embeddings", "embedding", "openai.embedding"),
  { name: "/v1/images/generations", operation: "image", wire: "openai.image", decode: decodeImage },
  { name: "/v1/rerank", operation: "rerank", wire: "jina.rerank", decode: decodeRerank },
  { name: "/v1/score", operation: "rerank", wire: "vllm.score", decode: decodeScore },
];

/** OpenAI's API. Its paths answer without `/v1` too, for clients that were given the address alone. */
export const inferenceRoutes: readonly InferenceRoute[] = routes.flatMap((route) =>
  [route.name, route.name.replace("/v1", "")].map((path) => ({ ...route, path, checkHeaders: checkContentType })),
);

export const openAiDoor = (options: MemoryRoutesOptions): Door => ({
  ...bearerDoor,
  name: "openai",
  inference: inferenceRoutes,
  register: (app) => registerMemoryRoutes(app, options),
});
