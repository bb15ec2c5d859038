import type { LlamaModel, Token } from "node-llama-cpp";
import { invalid } from "./errors.ts";
import { type Body, flagOf } from "./fields.ts";
import type { LoadedModel } from "./model.ts";

/** `POST /tokenize`, as of llama-server. */
export function tokenize({ prompts, model }: LoadedModel, body: Body): object {
  const { content } = body;
  if (content === undefined || content === null) throw invalid("'content' is required");
  const parts: unknown[] = Array.isArray(content) ? content : [content];
  const addSpecial = flagOf(body, "add_special") ?? false;
  const parseSpecial = flagOf(body, "parse_special") ?? true;
  const tokens = parts.flatMap((part, index): Token[] => {
    if (typeof part === "string") return prompts.tokenize(part, addSpecial && index === 0, parseSpecial);
    if (Number.isInteger(part)) return [part as Token];
    throw invalid("Field 'content': must be a string or a list of strings and token ids");
  });
  if (!(flagOf(body, "with_pieces") ?? false)) return { tokens };
  prompts.checkTokens(tokens, "content");
  return { tokens: tokens.map((id) => ({ id, piece: pieceOf(id, model) })) };
}

/** `POST /detokenize`. */
export function detokenize({ prompts }: LoadedModel, { tokens }: Body): object {
  if (!Array.isArray(tokens)) throw invalid("Field 'tokens': must be a list of token ids");
  prompts.checkTokens(tokens, "tokens");
  return { content: prompts.detokenizeMarks(tokens as Token[]) };
}

/** `POST /v1/chat/completions/input_tokens`. */
export const countTokens = ({ prompts }: LoadedModel, body: Body): object => ({
  input_tokens: prompts.tokenize(prompts.render(body)).length,
  object: "response.input_tokens",
});

/** A token's text, or its bytes where they are a part of a character. */
function pieceOf(id: Token, model: LlamaModel): string | number[] {
  const text = model.detokenize([id], true);
  if (!text.includes("\uFFFD")) return text;
  const written = model.fileInfo.metadata.tokenizer.ggml.tokens[id] ?? "";
  const byte = /^<0x([0-9A-F]{2})>$/.exec(written)?.[1];
  if (byte !== undefined) return [Number.parseInt(byte, 16)];
  const bytes = [...written].map((character) => byteOfCharacter.get(character));
  return bytes.every((each): each is number => each !== undefined) ? bytes : text;
}

const isPrintable = (byte: number): boolean =>
  (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
const PRINTABLE_COUNT = 188;

/** Vocabularies of bytes write each byte as a printable character (GPT-2's encoder): its own, or one above 255. */
const byteOfCharacter: ReadonlyMap<string, number> = new Map(
  Array.from({ length: 256 }, (_, byte) => byte)
    .sort((a, b) => Number(isPrintable(b)) - Number(isPrintable(a)) || a - b)
    .map((byte, place) => [String.fromCodePoint(isPrintable(byte) ? byte : 256 + place - PRINTABLE_COUNT), byte]),
);
