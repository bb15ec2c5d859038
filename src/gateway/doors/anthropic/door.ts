import { checkContentType, decodedBody, parseBody } from "../../canonical/decode.ts";
import type { DecodedBody, Door, InferenceRoute } from "../../front/door.ts";
import { apiKeyOf, bearerOf } from "../../front/keys.ts";
import { translatedSink } from "../../front/translated-sink.ts";
import { MessageTranslator } from "./answer.ts";
import { errorBody, errorEvent, unsupported } from "./errors.ts";
import { type MemoryRoutesOptions, registerModelRoutes } from "./models.ts";
import { checkVersion, requireLimit, type Translated, translate, VERSION_HEADER } from "./request.ts";

const messages: InferenceRoute = {
  path: "/v1/messages",
  name: "/v1/messages",
  operation: "chat",
  wire: "openai.chat",
  checkHeaders(headers) {
    checkVersion(headers);
    checkContentType(headers);
  },
  decode(bytes) {
    const { json: asked } = parseBody(bytes);
    requireLimit(asked);
    const translated = translate(asked);
    const decoded = decodedBody("chat", bodyOf(translated.json));
    return {
      ...decoded,
      checked: () => forEngines(decoded, translated),
      translate: (client) => translatedSink(client, decoded.streamed, new MessageTranslator(translated)),
    };
  },
};

const bodyOf = (json: DecodedBody["body"]["json"]): DecodedBody["body"] => ({
  json,
  bytes: Buffer.from(JSON.stringify(json)),
});

/** The engines on this machine say besides how long the prompt is before they answer, and which text ended the answer. */
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
  const known = checked?.() ?? { body, prompt };
  if (!streamed && stops.length === 0) return known;
  const more = { ...(streamed ? { return_progress: true } : {}), ...(stops.length > 0 ? { verbose: true } : {}) };
  return { ...known, body: bodyOf({ ...known.body.json, ...more }) };
}

/** Anthropic's Messages API. */
export const anthropicDoor = (options: MemoryRoutesOptions): Door => ({
  name: "anthropic",
  scope: "inference",
  prefix: "/v1/messages",
  requestIdHeader: "request-id",
  marker: VERSION_HEADER,
  inference: [messages],
  credential: (headers) => apiKeyOf(headers["x-api-key"]) ?? bearerOf(headers.authorization),
  errorBody,
  errorEvent,
  register: (app) => registerModelRoutes(app, options),
});
