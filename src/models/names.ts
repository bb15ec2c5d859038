import { AssistantError } from "../core/errors.ts";

// The name becomes a file name: no separator, no leading dot, nothing that a shell or a URL would need quoted.
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

export const isModelName = (name: string): boolean => NAME.test(name);

/**
 * `name` itself, or throws `usage` with the rule it breaks. Every path of the store is built from a name that passed
 * here.
 */
export function checkModelName(name: string): string {
  if (isModelName(name)) return name;
  throw new AssistantError(
    "usage",
    `A model's name must begin with a letter or digit and hold only letters, digits, ".", "_" and "-" (at most 100); found ${JSON.stringify(name)}.`,
    {
      param: "name",
      remedy: "Choose another name.",
    },
  );
}

/**
 * A valid name made from a file name or the last part of a URL: without `.gguf` or `.onnx` and the number of a part,
 * other characters become "-".
 */
export function nameFromFile(file: string): string {
  const base = file
    .slice(Math.max(file.lastIndexOf("/"), file.lastIndexOf("\\")) + 1)
    .replace(/\.(gguf|onnx)$/i, "")
    .replace(/-\d{5}-of-\d{5}$/, "");
  const cleaned = base
    .replace(/[^A-Za-z0-9._-]+/g, "-")
    .replace(/^[^A-Za-z0-9]+/, "")
    .slice(0, 100);
  return cleaned === "" ? "model" : cleaned;
}
