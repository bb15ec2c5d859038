import type { StageSettings } from "../../config/schema/stages.ts";
import { AssistantError } from "../../core/errors.ts";
import { isOpenCcConfig, openCcConfigs, openCcConverter } from "../../core/opencc.ts";
import type { Stage } from "../stage.ts";

/** Converts Chinese between its scripts and regional words. Throws `config_invalid` for a direction that there is not. */
export async function openccStage({ config }: StageSettings["opencc"]): Promise<Stage> {
  if (!isOpenCcConfig(config))
    throw new AssistantError(
      "config_invalid",
      `\`config\` must be one of ${openCcConfigs.join(", ")}; found ${JSON.stringify(config)}.`,
      { param: "config" },
    );
  const convert = await openCcConverter(config);
  return {
    accepts: "text",
    emits: "text",
    async *run(input) {
      for await (const text of input) yield { next: convert(String(text)) };
    },
  };
}
