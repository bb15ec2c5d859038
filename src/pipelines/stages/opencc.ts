import type { StageSettings } from "../../config/schema/stages.ts";
import { AssistantError } from "../../core/errors.ts";
import type { Stage } from "../stage.ts";

/** The directions of OpenCC, by the name of its configuration: from, to. */
const directions = {
  s2t: ["cn", "t"],
  t2s: ["t", "cn"],
  s2tw: ["cn", "tw"],
  tw2s: ["tw", "cn"],
  s2hk: ["cn", "hk"],
  hk2s: ["hk", "cn"],
  s2twp: ["cn", "twp"],
  tw2sp: ["twp", "cn"],
  t2tw: ["t", "tw"],
  tw2t: ["tw", "t"],
  t2hk: ["t", "hk"],
  hk2t: ["hk", "t"],
  t2jp: ["t", "jp"],
  jp2t: ["jp", "t"],
} as const;

/** Converts Chinese between its scripts and regional words. Throws `config_invalid` for a direction that there is not. */
export async function openccStage({ config }: StageSettings["opencc"]): Promise<Stage> {
  if (!Object.hasOwn(directions, config))
    throw new AssistantError(
      "config_invalid",
      `\`config\` must be one of ${Object.keys(directions).join(", ")}; found ${JSON.stringify(config)}.`,
      { param: "config" },
    );
  const { Converter } = await import("opencc-js");
  const [from, to] = directions[config as keyof typeof directions];
  const convert = Converter({ from, to });
  return {
    accepts: "text",
    emits: "text",
    async *run(input) {
      for await (const text of input) yield { next: convert(String(text)) };
    },
  };
}
