import type { StageSettings } from "../../config/schema/stages.ts";
import { AssistantError } from "../../core/errors.ts";
import type { Stage } from "../stage.ts";

/** Has a model of this daemon speak each text. A request's options may name a `voice` and a `speed`. */
export const speechStage = ({ model, voice, speed }: StageSettings["speech"]): Stage => ({
  accepts: "text",
  emits: "audio",
  async *run(input, { models, options }) {
    const asked = {
      ...optionOf("voice", "string", options["voice"] ?? voice),
      ...optionOf("speed", "number", options["speed"] ?? speed),
    };
    for await (const text of input) {
      const chunk = await models.speak({ model, input: String(text), response_format: "wav", ...asked });
      yield { client: { type: "audio", chunk }, next: chunk };
    }
  },
});

/** Throws `invalid_request`. */
function optionOf(name: string, type: "string" | "number", value: unknown): object {
  if (value === undefined) return {};
  if (typeof value === type) return { [name]: value };
  throw new AssistantError("invalid_request", `"${name}" must be a ${type}; found ${JSON.stringify(value)}.`, {
    param: name,
  });
}
