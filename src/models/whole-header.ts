import type { GgufFileInfo } from "node-llama-cpp";
import { AssistantError } from "../core/errors.ts";
import { readGguf } from "./gguf-header.ts";

/**
 * The header with everything in it, as node-llama-cpp reads it: tens of milliseconds, and 0.3 s once for loading the
 * library, which happens here and not at import. Throws `model_invalid` for what cannot be read as a model.
 */
export async function readWholeHeader(file: string): Promise<GgufFileInfo> {
  await readGguf(file);
  const { readGgufFileInfo } = await import("node-llama-cpp");
  const damaged = (reason: string, cause?: unknown): AssistantError =>
    new AssistantError("model_invalid", `${file} begins as a GGUF file but cannot be read: ${reason}`, {
      remedy: "The file is damaged or truncated: remove it and pull it again.",
      cause,
    });
  let info: GgufFileInfo;
  try {
    // Given as a path explicitly: the reader would take some names for addresses and go to the network.
    info = await readGgufFileInfo(file, { sourceType: "filesystem", logWarnings: false });
  } catch (error) {
    throw damaged((error as Error).message, error);
  }
  // Of a file that ends right behind its first bytes the reader gives an empty header, against its own types.
  if ((info.metadata as Partial<GgufFileInfo["metadata"]>).general?.architecture === undefined)
    throw damaged("it names no architecture");
  return info;
}
