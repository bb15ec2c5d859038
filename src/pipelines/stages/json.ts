import type { StageSettings } from "../../config/schema/stages.ts";
import { AssistantError } from "../../core/errors.ts";
import { filled, valueAt } from "../path.ts";
import type { Stage } from "../stage.ts";

/** Takes a part out of each value, fills it into a template, or both. Nothing is evaluated. */
export const jsonStage = ({
  pick,
  template,
  parse = false,
  accepts = "text",
  emits,
}: StageSettings["json"]): Stage => ({
  accepts,
  emits: emits ?? (typeof template === "string" ? "text" : "json"),
  async *run(input, { request, options }) {
    for await (const value of input) {
      const whole = parse && typeof value === "string" ? parsed(value) : value;
      const picked = pick === undefined ? whole : valueAt(whole, pick);
      if (picked === undefined)
        throw new AssistantError("stage_failed", `The value has nothing at \`pick = ${JSON.stringify(pick)}\`.`, {
          param: "pick",
        });
      yield { next: template === undefined ? picked : filled(template, { input: picked, request, options }) };
    }
  },
});

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new AssistantError("stage_failed", "The value is not JSON.", { cause });
  }
}
