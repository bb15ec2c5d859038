import { type FileHandle, open, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { AssistantError } from "../core/errors.ts";
import { type Capabilities, type CapabilityFacts, capabilitiesOf } from "./capabilities.ts";
import { partsOf } from "./file-set.ts";
import { checkMagic, KNOWN_VERSIONS, unknownVersion } from "./gguf-magic.ts";
import { GgufReader, INFILL } from "./gguf-reader.ts";

/** What the header of a GGUF file says that is worth knowing before anything is loaded. Null: it does not say. */
export interface GgufHeader {
  /** Of the file. */
  readonly bytes: number;
  /** llama.cpp's name, such as `llama` or `bert`. */
  readonly architecture: string | null;
  /** Name that its makers gave it. */
  readonly title: string | null;
  /** SPDX id, or what the file says instead. */
  readonly licence: string | null;
  /** The file's own word for it, such as `Q4_K_M`. */
  readonly quantization: string | null;
  /** Repeating blocks; an engine that offloads all of them and the output offloads one more. */
  readonly layers: number | null;
  /** Length of a hidden state, which is that of an embedding. */
  readonly embeddingLength: number | null;
  readonly hasChatTemplate: boolean;
  readonly pooling: CapabilityFacts["pooling"];
  /** Without those that a projector adds (`withProjector`). */
  readonly capabilities: Capabilities;
  readonly trainContextTokens: number | null;
  /** Counted from the tensors of this file or, for `checkGguf` and `readModelFacts`, of all parts. */
  readonly parameters: number;
  /** It has a classification head, with which it ranks documents. */
  readonly ranks: boolean;
  /** Of a model in several files; `number` from 1 on. */
  readonly part: { readonly number: number; readonly count: number } | null;
}

/** Reads the header of a file: `readGguf`, or the cache in front of it. */
export type ReadHeader = (file: string) => Promise<GgufHeader>;

/** Like `readGguf`; it must be a language model too, and the other parts of one in several must be there and whole. */
export async function checkGguf(file: string, read: ReadHeader = readGguf): Promise<GgufHeader> {
  const header = await read(file);
  refuseOther(header, file);
  if (header.part === null) return header;
  await checkParts(file, header.part);
  return await withOtherParts(file, header, read);
}

/** The header with the parameters of all parts of the model. Throws `model_invalid` where one is not whole. */
export async function withOtherParts(file: string, header: GgufHeader, read: ReadHeader): Promise<GgufHeader> {
  let { parameters } = header;
  for (const part of header.part === null ? [] : partsOf(file))
    if (part !== file) parameters += (await read(part)).parameters;
  return { ...header, parameters };
}

/**
 * Checks that `file` is a complete GGUF file, by comparing its length with the end of its tensors. Reads only the
 * header, in tens of milliseconds for a large vocabulary. Throws `model_invalid` with what the file is instead, or
 * lacks.
 */
export async function readGguf(file: string, shownAs: string = file): Promise<GgufHeader> {
  await using handle = await open(file, "r");
  const { size } = await handle.stat();
  const parsed = await parseHeader(handle, size, shownAs);
  if (parsed.bytesNeeded > size)
    throw new AssistantError(
      "model_invalid",
      `${shownAs} is cut off: its tensors take ${parsed.bytesNeeded} bytes, the file has ${size}.`,
      { remedy: AGAIN },
    );
  const { bytesNeeded: _, ...header } = parsed;
  return { bytes: size, ...header };
}

/**
 * Whether a file contains no model, judged by its first bytes: it is not a GGUF file, or one without metadata and
 * tensors. Rejects if it cannot be read.
 */
export async function holdsNoModel(file: string): Promise<boolean> {
  await using handle = await open(file, "r");
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(COUNTS_END), 0, COUNTS_END, 0);
  const isGguf = buffer.toString("latin1", 0, 4) === "GGUF";
  return !isGguf || bytesRead < COUNTS_END || buffer.subarray(COUNTS_START).every((byte) => byte === 0);
}

/** The position of the counts of tensors and metadata in a header, after magic and version. */
const COUNTS_START = 8;
const COUNTS_END = 24;

const AGAIN = "Remove the file and pull or copy it again.";

/** Throws `model_invalid` for one part of a model in several: a pull brings one file. */
export function refusePart({ part }: GgufHeader, shownAs: string): void {
  if (part === null) return;
  throw new AssistantError("model_invalid", `${shownAs} is part ${part.number} of ${part.count} of a model.`, {
    remedy:
      "Merge the parts with llama-gguf-split and pull the merged file; " +
      "or leave them together and write the path of the first as `model_path` of a model file.",
  });
}

const OTHERS: Readonly<Record<string, readonly [what: string, remedy: string]>> = {
  projector: [
    "a multimodal projector, not a model",
    "Pull the model that it belongs to, and write this file as `llava_mmproj` in its model file.",
  ],
  adapter: ["a LoRA adapter, not a model", "Pull the model that it was trained on, and load the adapter with it."],
  image: [
    "a model that draws images, which llama.cpp does not run",
    'Run it with a program such as stable-diffusion.cpp (`engine = "command"`).',
  ],
};

/** Throws `model_invalid` for GGUF files that are no language model. */
function refuseOther({ architecture, capabilities }: GgufHeader, shownAs: string): void {
  const other = OTHERS[String(capabilities["type"])];
  if (other !== undefined)
    throw new AssistantError(
      "model_invalid",
      `${shownAs} is ${other[0]} (architecture ${architecture ?? "not named"}).`,
      {
        remedy: other[1],
      },
    );
}

async function checkParts(file: string, { number, count }: NonNullable<GgufHeader["part"]>): Promise<void> {
  const five = (value: number): string => String(value).padStart(5, "0");
  const ending = `-${five(number)}-of-${five(count)}.gguf`;
  const name = basename(file);
  const named = (index: number): string =>
    join(dirname(file), `${name.slice(0, -ending.length)}-${five(index)}-of-${five(count)}.gguf`);
  const what = `${file} is part ${number} of ${count} of a model`;
  const wanted = `expected its name to end in ${ending}, as llama.cpp finds the other parts by it`;
  if (!name.endsWith(ending))
    throw new AssistantError("model_invalid", `${what}; ${wanted}.`, {
      remedy: "Give the parts the names back that they had.",
    });
  if (number !== 1)
    throw new AssistantError("model_invalid", `${what}.`, { remedy: `Name the first part: ${named(1)}` });
  const others = Array.from({ length: count - 1 }, (_, index) => named(index + 2));
  const there = await Promise.all(others.map((other) => stat(other).catch(() => null)));
  const missing = others.filter((_, index) => there[index] === null);
  if (missing.length > 0)
    throw new AssistantError(
      "model_invalid",
      `${what}, and ${missing.map((other) => basename(other)).join(", ")} ${missing.length === 1 ? "is" : "are"} missing.`,
      {
        remedy: "Put all parts into one directory.",
      },
    );
}

/**
 * Bytes of the header at the beginning of a file, or null if `head` ends within it. Throws `model_invalid` for anything
 * but a GGUF file.
 */
export function headerBytes(head: Buffer, shownAs: string): number | null {
  checkMagic(head, shownAs);
  const reader = new GgufReader(head);
  try {
    parse(reader, shownAs);
    return reader.at;
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

interface ParsedHeader extends Omit<GgufHeader, "bytes"> {
  /** Least length of a file that holds all tensors. */
  readonly bytesNeeded: number;
}

/** Enough for most headers; a larger one is read again, four times as much of it. */
const FIRST_READ_BYTES = 2 ** 20;
/** No header is longer, but the lengths in a damaged one may be. */
const MAX_HEADER_BYTES = 2 ** 28;

async function parseHeader(handle: FileHandle, size: number, shownAs: string): Promise<ParsedHeader> {
  for (let length = FIRST_READ_BYTES; ; length *= 4) {
    const { buffer, bytesRead } = await handle.read(
      Buffer.allocUnsafe(Math.min(length, size)),
      0,
      Math.min(length, size),
      0,
    );
    const head = buffer.subarray(0, bytesRead);
    checkMagic(head, shownAs);
    try {
      return parse(new GgufReader(head), shownAs);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      if (length >= Math.min(size, MAX_HEADER_BYTES))
        throw new AssistantError(
          "model_invalid",
          `${shownAs} is cut off or damaged: its header does not end within the file's ${Math.min(length, size)} bytes.`,
          {
            remedy: AGAIN,
            cause: error,
          },
        );
    }
  }
}

const DEFAULT_ALIGNMENT = 32;
const MAX_DIMENSIONS = 8;
/** llama.cpp's names of the layers of a classification head. */
const HEAD_TENSOR = /^cls(?:\.output)?\.weight$/;

function parse(reader: GgufReader, shownAs: string): ParsedHeader {
  reader.skip(4);
  const version = reader.u32();
  if (!KNOWN_VERSIONS.includes(version)) throw unknownVersion(version, shownAs);
  const tensors = reader.u64();
  const pairs = reader.u64();
  const values = new Map<string, unknown>();
  for (let index = 0; index < pairs; index++) {
    const key = reader.text();
    values.set(key, reader.value(reader.u32()));
  }
  const number = (key: string): number | null => typed(values, key, "number");
  const text = (key: string): string | null => typed(values, key, "string");
  let end = 0;
  let parameters = 0;
  let ranks = false;
  for (let index = 0; index < tensors; index++) {
    ranks ||= HEAD_TENSOR.test(reader.text());
    const dimensions = reader.u32();
    if (dimensions > MAX_DIMENSIONS) throw new RangeError(`a tensor of ${dimensions} dimensions`);
    let elements = 1;
    for (let dimension = 0; dimension < dimensions; dimension++) elements *= reader.u64();
    const [block, bytes] = tensorTypes[reader.u32()] ?? [1, 0];
    end = Math.max(end, reader.u64() + Math.ceil(elements / block) * bytes);
    parameters += elements;
  }
  const alignment = number("general.alignment") ?? DEFAULT_ALIGNMENT;
  const count = number("split.count") ?? 0;
  const facts = capabilityFacts(values);
  return {
    architecture: facts.architecture,
    title: text("general.name"),
    licence: text("general.license"),
    quantization: fileTypes[number("general.file_type") ?? -1] ?? null,
    layers: number(`${facts.architecture}.block_count`),
    embeddingLength: number(`${facts.architecture}.embedding_length`),
    hasChatTemplate: facts.chatTemplate !== null,
    pooling: facts.pooling,
    capabilities: capabilitiesOf(facts),
    parameters,
    ranks,
    trainContextTokens: number(`${facts.architecture}.context_length`),
    part: count > 1 ? { number: (number("split.no") ?? 0) + 1, count } : null,
    bytesNeeded: tensors === 0 ? reader.at : Math.ceil(reader.at / alignment) * alignment + end,
  };
}

type Values = ReadonlyMap<string, unknown>;
interface Types {
  readonly string: string;
  readonly number: number;
  readonly boolean: boolean;
}

const typed = <Type extends keyof Types>(values: Values, key: string, type: Type): Types[Type] | null => {
  const value = values.get(key);
  return typeof value === type ? (value as Types[Type]) : null;
};

const POOLING: readonly CapabilityFacts["pooling"][] = ["none", "mean", "cls", "last", "rank"];
const INFILL_KEYS = ["tokenizer.ggml.fim_pre_token_id", "tokenizer.ggml.prefix_token_id"];

function capabilityFacts(values: Values): CapabilityFacts {
  const architecture = typed(values, "general.architecture", "string");
  const flag = (key: string): boolean | null => typed(values, key, "boolean");
  return {
    architecture,
    fileType: typed(values, "general.type", "string"),
    chatTemplate: typed(values, "tokenizer.chat_template", "string"),
    pooling: POOLING[typed(values, `${architecture}.pooling_type`, "number") ?? -1] ?? null,
    causal: flag(`${architecture}.attention.causal`),
    hasInfillTokens: INFILL_KEYS.some((key) => values.has(key)) || values.get("tokenizer.ggml.tokens") === INFILL,
    encodesImages: flag("clip.has_vision_encoder"),
    encodesAudio: flag("clip.has_audio_encoder"),
  };
}

/** Elements of a block and its bytes, by ggml's number of the type. Types that are not listed count nothing. */
const tensorTypes: Readonly<Record<number, readonly [block: number, bytes: number]>> = {
  0: [1, 4], // F32
  1: [1, 2], // F16
  2: [32, 18], // Q4_0
  3: [32, 20], // Q4_1
  6: [32, 22], // Q5_0
  7: [32, 24], // Q5_1
  8: [32, 34], // Q8_0
  9: [32, 36], // Q8_1
  10: [256, 84], // Q2_K
  11: [256, 110], // Q3_K
  12: [256, 144], // Q4_K
  13: [256, 176], // Q5_K
  14: [256, 210], // Q6_K
  15: [256, 292], // Q8_K
  16: [256, 66], // IQ2_XXS
  17: [256, 74], // IQ2_XS
  18: [256, 98], // IQ3_XXS
  19: [256, 50], // IQ1_S
  20: [32, 18], // IQ4_NL
  21: [256, 110], // IQ3_S
  22: [256, 82], // IQ2_S
  23: [256, 136], // IQ4_XS
  24: [1, 1], // I8
  25: [1, 2], // I16
  26: [1, 4], // I32
  27: [1, 8], // I64
  28: [1, 8], // F64
  29: [256, 56], // IQ1_M
  30: [1, 2], // BF16
  34: [256, 54], // TQ1_0
  35: [256, 66], // TQ2_0
  39: [32, 17], // MXFP4
};

/** By llama.cpp's number of the file type. */
export const fileTypes: readonly string[] = [
  ..."F32 F16 Q4_0 Q4_1 Q4_1_SOME_F16 Q4_2 Q4_3 Q8_0 Q5_0 Q5_1 Q2_K Q3_K_S Q3_K_M Q3_K_L Q4_K_S Q4_K_M".split(" "),
  ..."Q5_K_S Q5_K_M Q6_K IQ2_XXS IQ2_XS Q2_K_S IQ3_XS IQ3_XXS IQ1_S IQ4_NL IQ3_S IQ3_M IQ2_S IQ2_M".split(" "),
  ..."IQ4_XS IQ1_M BF16 Q4_0_4_4 Q4_0_4_8 Q4_0_8_8 TQ1_0 TQ2_0 MXFP4_MOE NVFP4 Q1_0 Q2_0".split(" "),
];
