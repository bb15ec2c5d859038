import { nearestNames } from "../core/nearest.ts";

/** Chat templates that llama.cpp has built in. */
const builtIn: readonly string[] = (
  "bailing bailing-think bailing2 chatglm3 chatglm4 chatml command-r deepseek deepseek-ocr deepseek2 deepseek3 " +
  "exaone-moe exaone3 exaone4 falcon3 gemma gigachat glmedge gpt-oss granite granite-4.0 granite-4.1 grok-2 " +
  "hunyuan-dense hunyuan-moe hunyuan-vl kimi-k2 llama2 llama2-sys llama2-sys-bos llama2-sys-strip llama3 llama4 " +
  "megrez minicpm mistral-v1 mistral-v3 mistral-v3-tekken mistral-v7 mistral-v7-tekken monarch openchat orion " +
  "pangu-embedded phi3 phi4 rwkv-world seed_oss smolvlm solar-open vicuna vicuna-orca yandex zephyr"
).split(" ");

/** Names that other systems' model files use, with llama.cpp's. */
const otherNames: Readonly<Record<string, string>> = {
  "llama-2-chat": "llama2-sys",
  "llama-3-chat": "llama3",
  "llama-4-chat": "llama4",
  "mistral-instruct": "mistral-v1",
  "mistral-small-chat": "mistral-v7-tekken",
  "gemma-instruct": "gemma",
  "gemma-3": "gemma",
  "phi-3-chat": "phi3",
  "phi-4-chat": "phi4",
  "deepseek-chat": "deepseek",
  "deepseek-chat-2": "deepseek2",
  "deepseek-chat-25": "deepseek2",
  "deepseek-chat-3": "deepseek3",
  "exaone-chat": "exaone3",
  falcon3: "falcon3",
  "glm-4-chat": "chatglm4",
  granite: "granite",
  megrez: "megrez",
  "vicuna-chat": "vicuna-orca",
  "vicuna-1.0-chat": "vicuna",
  "smol-vl": "smolvlm",
  "seed-oss-think": "seed_oss",
  "gpt-oss": "gpt-oss",
};

/** llama.cpp's name of a template, "" for the model's own, or what is wrong. */
export function chatTemplate(written: string): { readonly name: string } | { readonly problem: string } {
  if (written === "" || written === "auto") return { name: "" };
  if (builtIn.includes(written)) return { name: written };
  const translated = Object.hasOwn(otherNames, written) ? otherNames[written] : undefined;
  if (translated !== undefined) return { name: translated };
  const near = nearestNames(written, [...builtIn, ...Object.keys(otherNames)]);
  const hint = near.length === 0 ? "" : ` (did you mean ${near.map((name) => JSON.stringify(name)).join(" or ")}?)`;
  return {
    problem: `expected the name of a chat template, or "" for the one in the model's file, found ${JSON.stringify(written)}${hint}`,
  };
}
