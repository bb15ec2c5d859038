import { stat } from "node:fs/promises";
import { AssistantError } from "../core/errors.ts";
import type { LoadSettings } from "../core/model.ts";
import { readGguf } from "./gguf-header.ts";

/** Throws `model_not_pulled` or `model_invalid` for a LoRA adapter that cannot be loaded. */
export async function checkAdapters({ llama }: Pick<LoadSettings, "llama">): Promise<void> {
  for (const { path } of llama.lora) {
    const found = await stat(path).catch(() => null);
    if (found?.isFile() !== true)
      throw new AssistantError("model_not_pulled", `The adapter ${path}, named by \`lora\`, does not exist.`, {
        param: "lora",
        remedy: "Correct its path in the model's file, or remove it there.",
      });
    const { capabilities } = await readGguf(path);
    if (capabilities["type"] !== "adapter")
      throw new AssistantError("model_invalid", `${path} is not a LoRA adapter.`, {
        param: "lora",
        remedy: "Use the path of an adapter in GGUF format, as created by convert_lora_to_gguf.py.",
      });
  }
}

/**
 * Bytes of projector and adapters, which an instance loads completely in addition to its weights; missing ones count
 * nothing.
 */
export async function companionBytes({ projectorPath, llama }: LoadSettings): Promise<number> {
  const paths = [...(projectorPath === "" ? [] : [projectorPath]), ...llama.lora.map(({ path }) => path)];
  const sizes = await Promise.all(paths.map((path) => stat(path).catch(() => null)));
  return sizes.reduce((sum, file) => sum + (file?.size ?? 0), 0);
}
