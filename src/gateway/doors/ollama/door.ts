import type { WireFormat } from "../../../core/inference.ts";
import type { Operation } from "../../../core/model.ts";
import type { DecodedBody, Door, InferenceRoute } from "../../front/door.ts";
import { bearerDoor } from "../../front/error-body.ts";
import { decodeEmbed, decodeEmbeddings } from "./embed.ts";
import { errorBody } from "./error.ts";
import { registerMemoryRoutes } from "./memory-routes.ts";
import { described, errorSchema } from "./openapi.ts";
import type { OllamaOptions } from "./ports.ts";
import { decodeChat, decodeGenerate } from "./text.ts";

/** Ollama's API. Its clients may omit the content type, and only send JSON. */
export function ollamaDoor(options: OllamaOptions): Door {
  const route = (
    path: string,
    operation: Operation,
    wire: WireFormat,
    decode: (bytes: Buffer, options: OllamaOptions) => DecodedBody,
  ): InferenceRoute => ({
    ...{ path, name: path, operation, wire },
    checkHeaders: () => {},
    decode: (bytes) => decode(bytes, options),
  });
  return {
    ...bearerDoor,
    name: "ollama",
    describe: described,
    errorSchema,
    inference: [
      route("/api/chat", "chat", "openai.chat", decodeChat),
      route("/api/generate", "chat", "openai.chat", decodeGenerate),
      route("/api/embed", "embedding", "openai.embedding", decodeEmbed),
      route("/api/embeddings", "embedding", "openai.embedding", decodeEmbeddings),
    ],
    errorBody,
    errorEvent: (error) => Buffer.from(`${JSON.stringify(errorBody(error))}\n`),
    register: (app) => registerMemoryRoutes(app, options),
  };
}
