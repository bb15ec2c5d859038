import type { JsonSchema } from "../../../core/schema.ts";
import { modelOf, parseBody, withoutCapability } from "../../canonical/decode.ts";
import { boolean, orNull, text } from "../../canonical/rules.ts";
import type { DecodedBody } from "../../front/door.ts";

export const imageBody: JsonSchema = {
  title: "ImageRequest",
  type: "object",
  properties: { model: orNull(text.schema), prompt: text.schema, stream: boolean.schema },
};

/**
 * `POST /v1/images/generations`. Its fields differ between programs, each of which validates its own. Throws
 * `empty_body`, `invalid_json`.
 */
export function decodeImage(bytes: Buffer): DecodedBody {
  const asked = withoutCapability(parseBody(bytes));
  const { json } = asked.body;
  const { prompt, stream } = json;
  return { ...asked, model: modelOf(json), prompt: { text: prompt }, streamed: stream === true, maxTokens: 0 };
}
