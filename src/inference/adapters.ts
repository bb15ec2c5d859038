import { AssistantError } from "../core/errors.ts";
import type { InferenceCall } from "../core/inference.ts";
import type { ModelSpec } from "../core/model.ts";

/**
 * The scales that a call sets for the model's LoRA adapters, as text; null: those of the model's file. A prompt cached
 * under one set of scales is wrong for another, and engines do not always notice, so the text is part of the cache
 * scope. Throws `invalid_request` for an adapter that the model does not have.
 */
export function adapterPart({ body: { json } }: Pick<InferenceCall, "body">, model: ModelSpec): string | null {
  const asked = json["lora"] as readonly { readonly id: number; readonly scale: number }[] | null | undefined;
  // Another machine checks its own model.
  if (asked === undefined || asked === null || asked.length === 0) return null;
  const { lora } = model.load.llama;
  const unknown = asked.find(({ id }) => model.nodes === undefined && id >= lora.length);
  if (unknown !== undefined)
    throw new AssistantError(
      "invalid_request",
      lora.length === 0
        ? `The field "lora" requests adapter ${unknown.id}, and "${model.name}" has none.`
        : `The field "lora" requests adapter ${unknown.id}; "${model.name}" has 0 to ${lora.length - 1}.`,
      { param: "lora", remedy: "Adapters are listed under `[[chat.lora]]` of the model's file, and counted from 0." },
    );
  // An omitted adapter is not applied.
  const scales = new Map(asked.map(({ id, scale }) => [id, scale]));
  const isUsual = model.nodes === undefined && lora.every(({ scale }, id) => (scales.get(id) ?? 0) === scale);
  if (isUsual) return null;
  const applied = [...scales].filter(([, scale]) => scale !== 0).sort(([a], [b]) => a - b);
  return `lora ${applied.map(([id, scale]) => `${id}=${scale}`).join(",")}`;
}
