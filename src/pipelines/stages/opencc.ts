import type { StageSettings } from "../../config/schema/stages.ts";
import { openCcConverter } from "../../core/opencc.ts";
import type { Stage } from "../stage.ts";

/** Converts Chinese between its scripts and regional words. */
export async function openccStage({ config }: StageSettings["opencc"]): Promise<Stage> {
  const convert = await openCcConverter(config);
  return {
    accepts: "text",
    emits: "text",
    async *run(input) {
      for await (const text of input) yield { next: convert(String(text)) };
    },
  };
}
