import type { GgufFileInfo } from "node-llama-cpp";
import { AssistantError } from "../core/errors.ts";
import { isModelKind, type ModelKind } from "../core/model.ts";
import type { Capabilities, CapabilityFacts } from "./capabilities.ts";
import { type GgufHeader, readGguf } from "./gguf-header.ts";

/** What a GGUF file says of its model. Null: it does not say. */
export interface ModelFacts {
  /** Of the file. */
  readonly bytes: number;
  /** llama.cpp's name, such as `llama` or `bert`. */
  readonly architecture: string;
  /** Name that its makers gave it. */
  readonly title: string | null;
  /** Counted from the tensors. */
  readonly parameters: number;
  /** The file's own word for it, such as `Q4_K_M`. */
  readonly quantization: string | null;
  /** Repeating blocks; an engine that offloads all of them and the output offloads one more. */
  readonly layers: number | null;
  readonly trainContextTokens: number | null;
  /** Length of a hidden state, which is that of an embedding. */
  readonly embeddingLength: number | null;
  readonly hasChatTemplate: boolean;
  readonly pooling: CapabilityFacts["pooling"];
  /** SPDX id, or what the file says instead. */
  readonly licence: string | null;
  /** Derived from the header; without those that a projector adds. */
  readonly capabilities: Capabilities;
  /** By the capability `type`. */
  readonly kind: ModelKind;
}

/**
 * Reads a GGUF file's header, by node-llama-cpp's reader: tens of milliseconds, and 0.3 s once for loading the library, which happens
 * here and not at import. Throws `model_invalid` for what cannot be read as GGUF.
 */
export async function readModelFacts(file: string): Promise<ModelFacts> {
  const { header, info } = await readHeader(file);
  const { GgufFileType } = await import("node-llama-cpp");
  const { metadata, architectureMetadata } = info;
  const { general } = metadata;
  const fileType = general.file_type;
  const { type } = header.capabilities;
  return {
    bytes: header.bytes,
    architecture: general.architecture,
    title: general.name ?? null,
    parameters: countParameters(info),
    quantization: fileType === undefined ? null : (GgufFileType[fileType]?.replace(/^(MOSTLY|ALL)_/, "") ?? null),
    layers: architectureMetadata?.block_count ?? null,
    trainContextTokens: architectureMetadata?.context_length ?? null,
    embeddingLength: architectureMetadata?.embedding_length ?? null,
    hasChatTemplate: header.hasChatTemplate,
    pooling: header.pooling,
    licence: general.license ?? null,
    capabilities: header.capabilities,
    kind: typeof type === "string" && isModelKind(type) ? type : "chat",
  };
}

function countParameters({ fullTensorInfo }: GgufFileInfo): number {
  return (fullTensorInfo ?? []).reduce(
    (sum, { dimensions }) => sum + dimensions.reduce<number>((product, size) => product * Number(size), 1),
    0,
  );
}

/** The header, as this program and as node-llama-cpp reads it. */
export async function readHeader(file: string): Promise<{ header: GgufHeader; info: GgufFileInfo }> {
  const header = await readGguf(file);
  const { readGgufFileInfo } = await import("node-llama-cpp");
  const damaged = (reason: string, cause?: unknown): AssistantError =>
    new AssistantError("model_invalid", `${file} begins as a GGUF file but cannot be read: ${reason}`, {
      remedy: "The file is damaged or cut off: remove it and pull it again.",
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
  return { header, info };
}
