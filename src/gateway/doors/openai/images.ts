import { modelOf, parseBody } from "../../canonical/decode.ts";
import type { DecodedBody } from "../../front/door.ts";

/** `POST /v1/images/generations`. Its fields differ from program to program, each of which checks its own. Throws `empty_body`, `invalid_json`. */
export function decodeImage(bytes: Buffer): DecodedBody {
  const body = parseBody(bytes);
  const { prompt, stream } = body.json;
  return { model: modelOf(body.json), body, prompt: { text: prompt }, streamed: stream === true, maxTokens: 0 };
}
