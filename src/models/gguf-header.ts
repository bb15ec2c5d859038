import { type FileHandle, open, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { AssistantError } from "../core/errors.ts";
import { type Capabilities, type CapabilityFacts, capabilitiesOf } from "./capabilities.ts";
import { checkMagic, KNOWN_VERSIONS, unknownVersion } from "./gguf-magic.ts";

/** What the header of a GGUF file says that is worth knowing before anything is loaded. Null: it does not say. */
export interface GgufHeader {
  /** Of the file. */
  readonly bytes: number;
  /** llama.cpp's name, such as `llama` or `bert`. */
  readonly architecture: string | null;
  readonly hasChatTemplate: boolean;
  readonly pooling: CapabilityFacts["pooling"];
  /** Without those that a projector adds (`withProjector`). */
  readonly capabilities: Capabilities;
  readonly trainContextTokens: number | null;
  /** Counted from the tensors of this file. */
  readonly parameters: number;
  /** It has a classification head, with which it ranks documents. */
  readonly ranks: boolean;
  /** Of a model in several files; `number` from 1 on. */
  readonly part: { readonly number: number; readonly count: number } | null;
}

/** Like `readGguf`; it must be a language model too, and the other parts of one in several must be there. */
export async function checkGguf(file: string, shownAs: string = file): Promise<GgufHeader> {
  const header = await readGguf(file, shownAs);
  refuseOther(header, shownAs);
  if (header.part !== null) await checkParts(file, shownAs, header.part);
  return header;
}

/**
 * Checks that `file` is a whole GGUF file, by comparing its length with where its tensors end. Reads the header alone, in
 * tens of milliseconds for a large vocabulary. Throws `model_invalid` with what the file is instead, or lacks.
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
 * Whether a file says nothing of a model, which its first bytes tell: it is no GGUF file, or one without metadata and tensors.
 * Rejects where it cannot be read.
 */
export async function holdsNoModel(file: string): Promise<boolean> {
  await using handle = await open(file, "r");
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(COUNTS_END), 0, COUNTS_END, 0);
  const isGguf = buffer.toString("latin1", 0, 4) === "GGUF";
  return !isGguf || bytesRead < COUNTS_END || buffer.subarray(COUNTS_START).every((byte) => byte === 0);
}

/** Where a header counts its tensors and its metadata, behind magic and version. */
const COUNTS_START = 8;
const COUNTS_END = 24;

const AGAIN = "Remove the file and pull or copy it again.";

/** Throws `model_invalid` for one part of a model in several: a pull brings one file. */
export function refusePart({ part }: GgufHeader, shownAs: string): void {
  if (part === null) return;
  throw new AssistantError("model_invalid", `${shownAs} is part ${part.number} of ${part.count} of a model.`, {
    remedy:
      "Merge the parts with llama-gguf-split and pull the merged file; or leave them together and write the path of the first as `model_path` of a model file.",
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
export function refuseOther({ architecture, capabilities }: GgufHeader, shownAs: string): void {
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

async function checkParts(
  file: string,
  shownAs: string,
  { number, count }: NonNullable<GgufHeader["part"]>,
): Promise<void> {
  const five = (value: number): string => String(value).padStart(5, "0");
  const ending = `-${five(number)}-of-${five(count)}.gguf`;
  const name = basename(file);
  const named = (index: number): string =>
    join(dirname(file), `${name.slice(0, -ending.length)}-${five(index)}-of-${five(count)}.gguf`);
  const what = `${shownAs} is part ${number} of ${count} of a model`;
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

/** Bytes of the header at the beginning of a file, or null where `head` ends within it. Throws `model_invalid` for what is no GGUF file. */
export function headerBytes(head: Buffer, shownAs: string): number | null {
  checkMagic(head, shownAs);
  const reader = new Reader(head);
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
/** No header is longer; the lengths in a damaged one may say so. */
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
      return parse(new Reader(head), shownAs);
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

function parse(reader: Reader, shownAs: string): ParsedHeader {
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

/** Bytes of metadata values by their type; texts (8) and arrays (9) have no fixed size. */
const valueBytes: Readonly<Record<number, number>> = {
  0: 1,
  1: 1,
  2: 2,
  3: 2,
  4: 4,
  5: 4,
  6: 4,
  7: 1,
  10: 8,
  11: 8,
  12: 8,
};
const UNSIGNED = [0, 2, 4];
const BOOLEAN = 7;
const TEXT = 8;
const ARRAY = 9;
const U64 = 10;

/** Stands for an array of texts with a token that begins what is before a gap, by which llama.cpp knows models that fill gaps. */
const INFILL = Symbol("infill");
const INFILL_TOKENS = ["<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<PRE>", "▁<PRE>", "<｜fim▁begin｜>"].map(
  (token) => Buffer.from(token),
);

/** Reads a header's parts one after another. Throws RangeError where the bytes end. */
class Reader {
  readonly #bytes: Buffer;
  at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  skip(count: number): void {
    if (count > this.#bytes.length - this.at) throw new RangeError("the header goes on");
    this.at += count;
  }

  u32(): number {
    this.skip(4);
    return this.#bytes.readUInt32LE(this.at - 4);
  }

  u64(): number {
    const low = this.u32();
    return this.u32() * 2 ** 32 + low;
  }

  text(): string {
    const length = this.u64();
    this.skip(length);
    return this.#bytes.toString("utf8", this.at - length, this.at);
  }

  /** A text, an unsigned number, a flag, or `INFILL`; other values are passed over. */
  value(type: number): string | number | boolean | symbol | null {
    if (type === TEXT) return this.text();
    if (type === U64) return this.u64();
    if (type === BOOLEAN) {
      this.skip(1);
      return this.#bytes[this.at - 1] !== 0;
    }
    if (type !== ARRAY) {
      const bytes = valueBytes[type];
      if (bytes === undefined) throw new RangeError(`there is no metadata of type ${type}`);
      this.skip(bytes);
      return UNSIGNED.includes(type) ? this.#bytes.readUIntLE(this.at - bytes, bytes) : null;
    }
    const itemType = this.u32();
    const count = this.u64();
    const bytes = valueBytes[itemType];
    if (bytes !== undefined) this.skip(count * bytes);
    else if (itemType === TEXT) return this.#texts(count);
    else for (let index = 0; index < count; index++) this.value(itemType);
    return null;
  }

  #texts(count: number): symbol | null {
    let found: symbol | null = null;
    for (let index = 0; index < count; index++) {
      const length = this.u64();
      this.skip(length);
      for (const token of INFILL_TOKENS)
        if (token.length === length && token.compare(this.#bytes, this.at - length, this.at) === 0) found = INFILL;
    }
    return found;
  }
}
