import { basename } from "node:path";

interface Refusal {
  /** Matches llama.cpp's output. */
  readonly pattern: RegExp;
  /** `what`: the first group of the pattern. */
  sentence(file: string, what: string): string;
}

const UPDATE = "Build a newer engine with `assistant engine build`, or pull another model.";

const refusals: readonly Refusal[] = [
  {
    pattern: /unknown model architecture: '([^']*)'/,
    sentence: (file, what) => `${file} has the architecture ${what}, which this engine does not support. ${UPDATE}`,
  },
  {
    pattern: /unknown (?:pre-tokenizer type|tokenizer): '([^']*)'/,
    sentence: (file, what) => `${file} has the tokenizer ${what}, which this engine does not support. ${UPDATE}`,
  },
  {
    pattern: /CUDA error: (.*(?:unsupported toolchain|no kernel image is available).*)/,
    sentence: (_file, what) =>
      `The engine's CUDA library does not work with the GPU and its driver (${what.replace(/\.$/u, "")}). Update the NVIDIA driver, or run \`assistant engine build\`, which looks for one that does.`,
  },
  {
    pattern: /(?:chat_templates_init: error|chat template of the model): (.*)/,
    sentence: (file, what) =>
      `The chat template of ${file} cannot be used (${what}). Set \`prompt_template = "chatml"\`, or another built-in one, in its model file.`,
  },
  {
    pattern:
      /(?:error loading model[^:\n]*: )+(.*(?:missing tensor|number of tensors|wrong shape|not found in model|in model file|file bounds).*)/,
    sentence: (file, what) =>
      `${file} is damaged or was not converted completely (${what}). Pull the model again, or from another repository.`,
  },
];

/** Why llama.cpp rejected a model, and a remedy; null if its output contains no known reason. */
export function refusalIn(log: string): string | null {
  const file = /failed to load model,? '([^']+)'|cannot load (\/.*?\.gguf):/.exec(log)?.slice(1).find(Boolean);
  for (const { pattern, sentence } of refusals) {
    const what = pattern.exec(log)?.[1];
    if (what !== undefined)
      return sentence(file === undefined ? "The model's file" : basename(file), what.trim().slice(0, 200));
  }
  return null;
}
