import type { StageSettings } from "../../config/schema/stages.ts";
import { DEFAULT_MARKS, inTurns, Sentences } from "../sentences.ts";
import type { Stage } from "../stage.ts";

/** Passes a text on by sentences. */
export const splitterStage = (settings: StageSettings["splitter"]): Stage => ({
  accepts: "text",
  emits: "text",
  async *run(input) {
    const sentences = new Sentences({
      marks: settings.marks ?? DEFAULT_MARKS.marks,
      softMarks: settings.soft_marks ?? DEFAULT_MARKS.softMarks,
      softLength: settings.soft_length ?? DEFAULT_MARKS.softLength,
    });
    for await (const text of input)
      for await (const piece of inTurns(String(text))) for (const next of sentences.push(piece)) yield { next };
    const rest = sentences.flush();
    if (rest !== null) yield { next: rest };
  },
});
