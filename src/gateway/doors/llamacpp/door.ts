import type { WireFormat } from "../../../core/inference.ts";
import type { Operation } from "../../../core/model.ts";
import { checkContentType } from "../../canonical/decode.ts";
import type { Door, InferenceRoute } from "../../front/door.ts";
import { bearerDoor } from "../../front/error-body.ts";
import { decodeChat, decodeCompletion, decodeDetokenize, decodeInfill, decodeTokenize } from "./decode.ts";
import { errorBody } from "./error-body.ts";
import { described, errorSchema } from "./openapi.ts";
import { type ReadRoutesOptions, registerReadRoutes } from "./reads.ts";

const route = (
  path: string,
  operation: Operation,
  wire: WireFormat,
  decode: InferenceRoute["decode"],
  name = path,
): InferenceRoute => ({ path, name, operation, wire, checkHeaders: checkContentType, decode });

const COUNT = "/chat/completions/input_tokens";

/**
 * llama-server's routes in addition to OpenAI's. `/completions` remains OpenAI's, like other paths without a version.
 */
export const inferenceRoutes: readonly InferenceRoute[] = [
  route("/tokenize", "tokenize", "llamacpp.tokenize", decodeTokenize),
  route("/detokenize", "tokenize", "llamacpp.detokenize", decodeDetokenize),
  route("/apply-template", "chat", "llamacpp.template", decodeChat),
  route(`/v1${COUNT}`, "chat", "llamacpp.tokens", decodeChat),
  route(COUNT, "chat", "llamacpp.tokens", decodeChat, `/v1${COUNT}`),
  route("/completion", "completion", "llamacpp.completion", decodeCompletion),
  route("/infill", "completion", "llamacpp.infill", decodeInfill),
];

/** llama-server's own API, for each of the models. A request names its model in the body or in the query. */
export const llamaCppDoor = (options: ReadRoutesOptions): Door => ({
  ...bearerDoor,
  name: "llamacpp",
  describe: described,
  errorSchema,
  inference: inferenceRoutes,
  errorBody,
  errorEvent: (error, requestId) => Buffer.from(`data: ${JSON.stringify(errorBody(error, requestId))}\n\n`),
  register: (app) => registerReadRoutes(app, options),
});
