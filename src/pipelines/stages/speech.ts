import type { StageSettings } from "../../config/schema/stages.ts";
import type { Stage } from "../stage.ts";

/** Has a model of this daemon speak each text. A request's options may name a `voice` and a `speed`. */
export const speechStage = ({ model, voice, speed }: StageSettings["speech"]): Stage => ({
  accepts: "text",
  emits: "audio",
  async *run(input, { models, options }) {
    const asked = { voice: options["voice"] ?? voice, speed: options["speed"] ?? speed };
    const given = Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined));
    for await (const text of input) {
      const chunk = await models.speak({ model, input: String(text), response_format: "wav", ...given });
      yield { client: { type: "audio", chunk }, next: chunk };
    }
  },
});
