import { AssistantError } from "../../core/errors.ts";

/**
 * What a message of src/api/open-inference.proto holds that can be much larger decoded than encoded, by field number.
 */
interface Shape {
  readonly messages: Readonly<Record<number, Shape>>;
  /** Numbers that follow each other without a tag each. */
  readonly packed: readonly number[];
}

const LEAF: Shape = { messages: {}, packed: [] };
const PARAMETERS: Shape = { messages: { 2: LEAF }, packed: [] };
const CONTENTS: Shape = { messages: {}, packed: [1, 2, 3, 4, 5, 6, 7] };
const INPUT: Shape = { messages: { 4: PARAMETERS, 5: CONTENTS }, packed: [3] };
const OUTPUT: Shape = { messages: { 2: PARAMETERS }, packed: [] };
const INFER_REQUEST: Shape = { messages: { 4: PARAMETERS, 5: INPUT, 6: OUTPUT }, packed: [] };

const MAX_FIELDS = 20_000;
const MAX_PACKED_BYTES = 64 * 1024;

const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;
const MAX_VARINT_BYTES = 10;

/**
 * Throws `invalid_request` where an encoded ModelInferRequest would become very many objects: two bytes can stand for
 * one that takes a hundred, and the library makes all of them before anybody can look. What models take here stays far
 * below.
 */
export function checkInferMessage(bytes: Buffer): void {
  let fields = 0;
  const walk = (start: number, end: number, { messages, packed }: Shape): void => {
    for (let at = start; at < end; ) {
      if (++fields > MAX_FIELDS) throw tooMany(`more than ${MAX_FIELDS} fields`);
      const tag = varint(bytes, at);
      const field = Math.floor(tag.value / 8);
      const content = varint(bytes, tag.end);
      switch (tag.value % 8) {
        case VARINT:
          at = content.end;
          break;
        case FIXED64:
          at = tag.end + 8;
          break;
        case FIXED32:
          at = tag.end + 4;
          break;
        case LENGTH_DELIMITED: {
          at = content.end + content.value;
          const inner = messages[field];
          if (inner !== undefined) walk(content.end, Math.min(at, end), inner);
          else if (packed.includes(field) && content.value > MAX_PACKED_BYTES)
            throw tooMany(`a tensor with more than ${MAX_PACKED_BYTES} bytes of numbers`);
          break;
        }
        default:
          // No protobuf, as the library will say.
          return;
      }
    }
  };
  walk(0, bytes.length, INFER_REQUEST);
}

const tooMany = (what: string): AssistantError =>
  new AssistantError("invalid_request", `The request has ${what}.`, { remedy: "Send several requests." });

function varint(bytes: Buffer, at: number): { readonly value: number; readonly end: number } {
  let value = 0;
  for (let index = 0; index < MAX_VARINT_BYTES; index++) {
    const byte = bytes[at + index] ?? 0;
    value += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80) return { value, end: at + index + 1 };
  }
  return { value, end: at + MAX_VARINT_BYTES };
}
