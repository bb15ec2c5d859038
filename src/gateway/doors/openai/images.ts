import type { JsonSchema } from "../../../core/schema.ts";
import { modelOf, parseBody } from "../../canonical/decode.ts";
import { boolean, orNull, text } from "../../canonical/rules.ts";
import type { DecodedBody } from "../../front/door.ts";

export const imageBody: JsonSchema = {
  title: "ImageRequest",
  type: "object",
  properties: { model: orNull(text.schema), prompt: text.schema, stream: boolean.schema },
};

/** `POST /v1/images/generations`. Its fields differ from program to program, each of which checks its own. Throws `empty_body`, `invalid_json`. */
export function decodeImage(bytes: Buffer): DecodedBody {
  const body = parseBody(bytes);
  const { prompt, stream } = body.json;
  return { model: modelOf(body.json), body, prompt: { text: prompt }, streamed: stream === true, maxTokens: 0 };
}
