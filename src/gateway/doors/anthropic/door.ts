import { bodyOf, type JsonObject, type WireFormat } from "../../../core/inference.ts";
import { checkContentType, decodedBody, parseBody } from "../../canonical/decode.ts";
import type { DecodedBody, Door, InferenceRoute } from "../../front/door.ts";
import { apiKeyOf, bearerOf } from "../../front/keys.ts";
import { anthropicLimits } from "../../front/limit-headers.ts";
import { translatedSink } from "../../front/translated-sink.ts";
import { CountTranslator, MessageTranslator } from "./answer.ts";
import { errorBody, errorEvent, unsupported } from "./errors.ts";
import { withoutLateSystem } from "./late-system.ts";
import { type MemoryRoutesOptions, registerModelRoutes } from "./models.ts";
import { described, errorSchema } from "./openapi.ts";
import { checkVersion, requireLimit, type Translated, translate, VERSION_HEADER } from "./request.ts";

const route = (path: string, wire: WireFormat, decode: InferenceRoute["decode"]): InferenceRoute => ({
  ...{ path, name: path, operation: "chat", wire, decode },
  checkHeaders(headers) {
    checkVersion(headers);
    checkContentType(headers);
  },
});

const messages = route("/v1/messages", "openai.chat", (bytes) => {
  const { json: asked } = parseBody(bytes);
  requireLimit(asked);
  const translated = translate(asked);
  const decoded = decodedBody("chat", bodyOf(translated.json));
  return {
    ...decoded,
    checked: () => forEngines(decoded, translated),
    translate: (client) => translatedSink(client, decoded.streamed, new MessageTranslator(translated)),
  };
});

/** Counted by the engine itself, from the messages and tools as rendered by the model's chat template. */
const countTokens = route("/v1/messages/count_tokens", "llamacpp.tokens", (bytes) => {
  const { json: asked } = parseBody(bytes);
  const translated = translate({ ...asked, stream: false });
  const decoded = decodedBody("chat", bodyOf(translated.json));
  return {
    ...decoded,
    // Nothing is evaluated, so the prompt is in no cache afterwards.
    ...{ prompt: {}, maxTokens: 0 },
    checked: () => ({ ...forEngines(decoded, translated), prompt: {} }),
    translate: (client) => translatedSink(client, false, new CountTranslator(translated)),
  };
});

/**
 * Additional fields for local engines: they then report the length of the prompt in advance, and the string that ended
 * the answer.
 */
function forEngines(
  { checked, streamed, body, prompt }: DecodedBody,
  { stops, files: [file] }: Translated,
): Pick<DecodedBody, "body" | "prompt"> {
  if (file !== undefined)
    throw unsupported(
      file,
      `"${file}" is a document that only models of providers read.`,
      'Send its text: {"type": "text", "media_type": "text/plain", "data": …} as its source.',
    );
  const { json } = (checked?.() ?? { body }).body;
  const messages = withoutLateSystem(json["messages"] as readonly JsonObject[]);
  const more = { ...(streamed ? { return_progress: true } : {}), ...(stops.length > 0 ? { verbose: true } : {}) };
  return { body: bodyOf({ ...json, messages, ...more }), prompt: { ...prompt, messages } };
}

export const inferenceRoutes: readonly InferenceRoute[] = [messages, countTokens];

/** Anthropic's Messages API. */
export const anthropicDoor = (options: MemoryRoutesOptions): Door => ({
  name: "anthropic",
  scope: "inference",
  requestIdHeader: "request-id",
  marker: VERSION_HEADER,
  inference: inferenceRoutes,
  credential: (headers) => apiKeyOf(headers["x-api-key"]) ?? bearerOf(headers.authorization),
  errorBody,
  errorSchema,
  errorEvent,
  describe: described,
  limitHeaders: anthropicLimits,
  register: (app) => registerModelRoutes(app, options),
});
