import { AssistantError } from "../core/errors.ts";

export const KNOWN_VERSIONS = [2, 3];

/** `model_invalid` for a version that is not one of those. */
export function unknownVersion(version: number, shownAs: string): AssistantError {
  const expected = `expected version ${KNOWN_VERSIONS.join(" or ")}`;
  const swapped = Buffer.alloc(4);
  swapped.writeUInt32BE(version);
  if (KNOWN_VERSIONS.includes(swapped.readUInt32LE()))
    return new AssistantError("model_invalid", `${shownAs} is a big-endian GGUF file; expected a little-endian one.`, {
      remedy:
        "Take the model's file for little-endian machines, or convert it with llama.cpp's gguf_convert_endian.py.",
    });
  return new AssistantError("model_invalid", `${shownAs} is a GGUF file of version ${version}; ${expected}.`, {
    remedy:
      version === 1
        ? "Convert the model again with a newer llama.cpp."
        : "The file is damaged, or made for a newer llama.cpp: pull the model again, or update Assistant.",
  });
}

/**
 * Throws `model_invalid` unless the bytes begin as every GGUF file does; the message says what they look like instead.
 */
export function checkMagic(head: Buffer, shownAs: string): void {
  if (head.subarray(0, 4).toString("latin1") === "GGUF") return;
  throw new AssistantError(
    "model_invalid",
    `${shownAs} is not a GGUF file: expected it to begin with "GGUF", found ${looksLike(head)}.`,
    {
      remedy: isLfsPointer(head)
        ? "Run `git lfs pull` in that repository, or pull the model with `assistant pull`."
        : "Use weights in GGUF format; repositories on Hugging Face with GGUF in their name have them.",
    },
  );
}

const isLfsPointer = (head: Buffer): boolean => head.toString("latin1", 0, 24) === "version https://git-lfs.";

function looksLike(head: Buffer): string {
  if (head.length === 0) return "an empty file";
  const text = head.toString("latin1", 0, 64);
  if (/^\s*<(!doctype|html|\?xml)/i.test(text)) return "a web page";
  if (isLfsPointer(head)) return "a Git LFS pointer (the repository was cloned without its large files)";
  if (text.startsWith("PK\u0003\u0004")) return "a zip archive";
  if (/^(lmgg|fmgg|tjgg|algg)/.test(text)) return "a file in the format that preceded GGUF";
  // A pickle's first operation names its protocol.
  if (head[0] === 0x80 && head[1] !== undefined && head[1] <= 5) return "what seems to be a PyTorch checkpoint";
  // The header of a safetensors file: an eight-byte length, then JSON.
  if (text[8] === "{" && text[9] === '"') return "what seems to be a safetensors file";
  if (head.every((byte) => byte === 0)) return "nothing but zero bytes";
  return JSON.stringify(text.slice(0, 16));
}
