import type { ModelSource } from "../core/model.ts";

/** Weights that are looked for. */
export type WrittenSource = Exclude<ModelSource, { type: "opaque" | "provider" | "worker" }>;

/**
 * What a reference to weights means: `hf:ORG/REPO/FILE.gguf` (or a voice, `….onnx`; with `@REVISION` behind it for
 * another one than `main`), a path (it holds a `/`, begins with `.` or `~`, or ends in `.gguf` or `.onnx`), or else a
 * name of the catalog. `toPath` makes a written path absolute. Returns a sentence on what is wrong instead of throwing.
 */
export function parseSource(reference: string, toPath: (written: string) => string): WrittenSource | string {
  const expected = 'expected a catalog name such as "smollm2", "hf:ORG/REPO/FILE.gguf", or the path of a GGUF file';
  if (reference.startsWith("hf:")) {
    const [org, repo, ...rest] = reference.slice("hf:".length).split("/");
    // A revision other than the main one follows the file's name.
    const [file = "", revision = "main", ...more] = (rest.pop() ?? "").split("@");
    const parts = [org ?? "", repo ?? "", ...rest, file, revision];
    if (more.length > 0 || !parts.every((part) => /^\w[\w.-]*$/.test(part)) || !/\.(?:gguf|onnx)$/i.test(file)) {
      return `expected hf:ORG/REPO/FILE.gguf, found ${JSON.stringify(reference)}`;
    }
    return {
      type: "huggingface",
      repo: `${org}/${repo}`,
      file: [...rest, revision === "main" ? file : `${file}@${revision}`].join("/"),
    };
  }
  if (/^\w+:\/\//.test(reference))
    return `${expected}, found the URL ${JSON.stringify(reference)}; run \`assistant pull\` with it, and write the name that it gets`;
  if (reference.includes("/") || /^[.~]/.test(reference) || /\.(?:gguf|onnx)$/.test(reference))
    return { type: "file", path: toPath(reference) };
  if (/^[A-Za-z0-9][\w.:-]*$/.test(reference)) return { type: "catalog", name: reference };
  return `${expected}, found ${JSON.stringify(reference)}`;
}

/** A source as a model file would write it. */
export function sourceText(source: ModelSource): string {
  if (source.type === "opaque") return source.reference;
  if (source.type === "file") return source.path;
  if (source.type === "provider") return source.offers.map(({ provider, model }) => `${provider}: ${model}`).join(", ");
  if (source.type === "worker") return "registered workers";
  if (source.type === "pipeline") return source.file;
  return source.type === "catalog" ? source.name : `hf:${source.repo}/${source.file}`;
}
