import { open } from "node:fs/promises";
import { AssistantError } from "../core/errors.ts";

/** Throws `model_invalid` unless `file` begins as every GGUF file does; the message says what it looks like instead. */
export async function checkGgufMagic(file: string, shownAs: string = file): Promise<void> {
  await using handle = await open(file, "r");
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(64), 0, 64, 0);
  const head = buffer.subarray(0, bytesRead);
  if (head.subarray(0, 4).toString("latin1") === "GGUF") return;
  throw new AssistantError("model_invalid", `${shownAs} is not a GGUF file: expected it to begin with "GGUF", found ${looksLike(head)}.`, {
    remedy: "Use weights in GGUF format; repositories on Hugging Face with GGUF in their name have them.",
  });
}

function looksLike(head: Buffer): string {
  if (head.length === 0) return "an empty file";
  const text = head.toString("latin1");
  if (/^\s*<(!doctype|html|\?xml)/i.test(text)) return "a web page";
  if (text.startsWith("version https://git-lfs")) return "a Git LFS pointer (the repository was cloned without its large files)";
  if (text.startsWith("PK\u0003\u0004")) return "a zip archive";
  // The header of a safetensors file: an eight-byte length, then JSON.
  if (text[8] === "{" && text[9] === '"') return "what seems to be a safetensors file";
  return JSON.stringify(text.slice(0, 16));
}
