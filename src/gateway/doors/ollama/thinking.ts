import { AssistantError } from "../../../core/errors.ts";
import type { JsonObject } from "../../../core/inference.ts";
import type { ModelSpec } from "../../../core/model.ts";
import { invalid, shown } from "../../canonical/rules.ts";
import { isGiven } from "./fields.ts";

const LEVELS: readonly unknown[] = ["low", "medium", "high", "max"];

/**
 * The fields that turn reasoning on or off. Templates of local models have a variable for it, services have levels.
 * Throws `invalid_request`, and `unsupported_capability` if the model is known not to reason.
 */
export function thinkingFields({ think }: JsonObject, model: ModelSpec | undefined): JsonObject {
  if (!isGiven(think)) return {};
  if (typeof think !== "boolean" && !LEVELS.includes(think))
    throw invalid(
      "think",
      `The field "think" must be true, false, "low", "medium", "high" or "max"; found ${shown(think)}.`,
    );
  const reasons = model?.capabilities["reasoning"];
  if (think === false && reasons === false) return {};
  if (reasons === false)
    throw new AssistantError("unsupported_capability", `"${model?.name}" does not support thinking.`, {
      param: "think",
      remedy: "Leave `think` out, or use a model that reasons.",
    });
  const effort = think === true ? "medium" : think === false ? "none" : think;
  if (model?.source.type === "provider") return { reasoning_effort: effort };
  const variables = { chat_template_kwargs: { enable_thinking: think !== false } };
  return typeof think === "boolean" ? variables : { ...variables, reasoning_effort: effort };
}
