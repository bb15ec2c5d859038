import type { StageSettings } from "../../config/schema/stages.ts";
import { AssistantError } from "../../core/errors.ts";
import type { Stage } from "../stage.ts";

/** Has a model of this daemon transcribe each recording. */
export const transcriptionStage = ({ model, language }: StageSettings["transcription"]): Stage => ({
  accepts: "audio",
  emits: "text",
  async *run(input, { models }) {
    for await (const audio of input) {
      if (!(audio instanceof Uint8Array))
        throw new AssistantError("stage_failed", "Expected the bytes of a recording, found something else.");
      yield { next: await models.transcribe(model, audio, language === undefined ? {} : { language }) };
    }
  },
});
