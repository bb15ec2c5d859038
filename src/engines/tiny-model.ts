import { writeFile } from "node:fs/promises";
import { type GgufTensor, type GgufValue, ggufPieces } from "./gguf-writer.ts";

const WIDTH = 64;
const HEADS = 2;
const FEED_FORWARD = 128;
const BYTES = 256;
/** Types of tokens as GGUF numbers them. */
const TYPE = { unknown: 2, control: 3, byte: 6 };

/**
 * Writes a chat model of one layer whose weights mean nothing (about 200 kB, F32): enough to see whether an engine
 * computes on a device, where no other model is at hand.
 */
export async function writeTinyModel(file: string): Promise<void> {
  const bytes = Array.from({ length: BYTES }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
  const tokens = ["<unk>", "<s>", "</s>", ...bytes];
  const metadata = new Map<string, GgufValue>([
    ["general.architecture", { text: "llama" }],
    ["general.name", { text: "Check" }],
    ["llama.block_count", { u32: 1 }],
    ["llama.context_length", { u32: 512 }],
    ["llama.embedding_length", { u32: WIDTH }],
    ["llama.feed_forward_length", { u32: FEED_FORWARD }],
    ["llama.attention.head_count", { u32: HEADS }],
    ["llama.attention.head_count_kv", { u32: HEADS }],
    ["llama.attention.layer_norm_rms_epsilon", { f32: 1e-5 }],
    ["llama.vocab_size", { u32: tokens.length }],
    ["tokenizer.ggml.model", { text: "llama" }],
    ["tokenizer.ggml.tokens", { texts: tokens }],
    ["tokenizer.ggml.scores", { f32s: tokens.map(() => 0) }],
    ["tokenizer.ggml.token_type", { i32s: [TYPE.unknown, TYPE.control, TYPE.control, ...bytes.map(() => TYPE.byte)] }],
    ["tokenizer.ggml.bos_token_id", { u32: 1 }],
    ["tokenizer.ggml.eos_token_id", { u32: 2 }],
    ["tokenizer.chat_template", { text: "{% for message in messages %}{{ message['content'] }}{% endfor %}" }],
  ]);
  await writeFile(file, Buffer.concat(ggufPieces(metadata, weights(tokens.length))));
}

function weights(vocabulary: number): GgufTensor[] {
  const ones = (name: string): GgufTensor => tensor(name, [WIDTH], () => 1);
  const matrix = (name: string, rows: number, columns: number): GgufTensor =>
    tensor(name, [rows, columns], (index) => Math.sin(index * 1.7) / Math.sqrt(columns));
  return [
    matrix("token_embd.weight", vocabulary, WIDTH),
    ones("output_norm.weight"),
    matrix("output.weight", vocabulary, WIDTH),
    ones("blk.0.attn_norm.weight"),
    ...["q", "k", "v", "output"].map((part) => matrix(`blk.0.attn_${part}.weight`, WIDTH, WIDTH)),
    ones("blk.0.ffn_norm.weight"),
    matrix("blk.0.ffn_gate.weight", FEED_FORWARD, WIDTH),
    matrix("blk.0.ffn_up.weight", FEED_FORWARD, WIDTH),
    matrix("blk.0.ffn_down.weight", WIDTH, FEED_FORWARD),
  ];
}

function tensor(name: string, shape: readonly number[], value: (index: number) => number): GgufTensor {
  const numbers = Float32Array.from({ length: shape.reduce((one, other) => one * other) }, (_, index) => value(index));
  return { name, shape, data: new Uint8Array(numbers.buffer) };
}
