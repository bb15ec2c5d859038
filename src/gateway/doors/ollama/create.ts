import type { JsonObject } from "../../../core/inference.ts";
import type { ModelSettings } from "../../../registry/library.ts";
import { checkField } from "../../canonical/fields.ts";
import { integer, invalid, isObject, isString, mustBe, object, shown } from "../../canonical/rules.ts";
import { isGiven, refuse } from "./fields.ts";

/** Parameters of a Modelfile, and the equivalent keys of a model file. */
const KEYS: Readonly<Record<string, string>> = {
  num_ctx: "ctx_size",
  num_predict: "n_predict",
  num_gpu: "n_gpu_layers",
  temperature: "temp",
  top_p: "top_p",
  top_k: "top_k",
  min_p: "min_p",
  repeat_penalty: "repeat_penalty",
  presence_penalty: "presence_penalty",
  frequency_penalty: "frequency_penalty",
  stop: "reverse_prompt",
};

/**
 * The settings of a request to create a model, as keys of a model file. Throws `invalid_request` for those without an
 * equivalent.
 */
export function settingsOf(body: JsonObject): ModelSettings {
  const inFile = "Write it into the model's file (docs/configuration.md).";
  refuse(body, "template", "The template is in the weights; `prompt_template` of a model file names another.");
  refuse(body, "adapters", inFile, isObject(body["adapters"]) && Object.keys(body["adapters"]).length > 0);
  refuse(body, "quantize", "Quantize the file with llama.cpp's llama-quantize first.");
  refuse(body, "quantization", "Quantize the file with llama.cpp's llama-quantize first.");
  refuse(body, "system", "Send it with each request: a model file has no system prompt.");
  refuse(body, "messages", "Send them with each request: a model file has none.");
  const { parameters } = body;
  if (!isGiven(parameters)) return {};
  mustBe(object, parameters, "parameters");
  const entries = Object.entries(parameters as JsonObject).filter(([, value]) => isGiven(value));
  return Object.fromEntries(entries.map(([name, value]) => setting(name, value, `parameters.${name.slice(0, 60)}`)));
}

function setting(name: string, value: unknown, at: string): [string, string | number] {
  const key = Object.hasOwn(KEYS, name) ? KEYS[name] : undefined;
  if (key === undefined)
    throw invalid(at, `"${at}" has no place in a model file; those that have are ${Object.keys(KEYS).join(", ")}.`);
  if (name === "stop") return [key, onlyText(value, at)];
  if (name === "num_ctx") mustBe(integer(1), value, at);
  else if (name === "num_gpu") mustBe(integer(-1), value, at);
  else if (name === "num_predict") mustBe(integer(-2), value, at);
  else checkField("chat", name, value, at);
  return [key, name === "num_predict" ? Math.max(-1, value as number) : (value as number)];
}

function onlyText(value: unknown, at: string): string {
  const [text, ...more] = [value].flat();
  if (isString(text) && text !== "" && more.length === 0) return text;
  throw invalid(at, `"${at}" must be one text; found ${more.length > 0 ? `${more.length + 1} of them` : shown(text)}.`);
}

/** The digest (hex) of the one GGUF file of a request, or null if it names none. Throws `invalid_request`. */
export function fileOf({ files }: JsonObject): string | null {
  if (!isGiven(files)) return null;
  mustBe(object, files, "files");
  const [first, ...more] = Object.entries(files as JsonObject);
  if (first === undefined) return null;
  if (more.length > 0) throw invalid("files", `"files" must contain one GGUF file; found ${more.length + 1} files.`);
  const [name, digest] = first;
  if (!/\.gguf$/i.test(name) && /\.(?:safetensors|bin|pth?|json)$/i.test(name))
    throw invalid("files", `${JSON.stringify(name.slice(0, 80))} is not a GGUF file; others are not converted.`);
  return digestOf(digest, "files");
}

/** The hex digits of "sha256:…". Throws `invalid_request`. */
export function digestOf(written: unknown, at: string): string {
  const [, hex] = isString(written) ? (/^sha256[:-]([0-9a-f]{64})$/.exec(written) ?? []) : [];
  if (hex !== undefined) return hex;
  throw invalid(at, `"${at}" must be "sha256:" and 64 hex digits; found ${shown(written)}.`);
}
