import { AssistantError } from "../core/errors.ts";

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
const TENSOR: Shape = { messages: { 4: PARAMETERS, 5: CONTENTS }, packed: [3] };
const OUTPUT: Shape = { messages: { 2: PARAMETERS }, packed: [] };
const INFER_REQUEST: Shape = { messages: { 4: PARAMETERS, 5: TENSOR, 6: OUTPUT }, packed: [] };

const INFER_RESPONSE: Shape = { messages: { 4: PARAMETERS, 5: TENSOR }, packed: [] };
const STREAM_RESPONSE: Shape = { messages: { 2: INFER_RESPONSE }, packed: [] };

interface Limits {
  readonly fields: number;
  /** Of all numbers in typed contents and shapes. */
  readonly packedBytes: number;
}

/** What models take here stays far below. */
const OF_REQUESTS: Limits = { fields: 20_000, packedBytes: 256 * 1024 };
/** A million of FP32. Tensors in `raw_output_contents` may have any length. */
const OF_ANSWERS: Limits = { fields: 200_000, packedBytes: 4 * 2 ** 20 };

const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;
const MAX_VARINT_BYTES = 10;

/**
 * Throws `invalid_request` where an encoded ModelInferRequest would become very many objects: two bytes can stand for
 * one that takes a hundred, and the library makes all of them before anybody can look.
 */
export function checkInferMessage(bytes: Buffer): void {
  const excess = excessIn(bytes, INFER_REQUEST, OF_REQUESTS);
  if (excess === null) return;
  throw new AssistantError("invalid_request", `The request has ${excess}.`, { remedy: "Send several requests." });
}

/** The same for an answer of a worker. Throws `worker_error`. */
export function checkInferAnswer(bytes: Buffer, streamed: boolean): void {
  const excess = excessIn(bytes, streamed ? STREAM_RESPONSE : INFER_RESPONSE, OF_ANSWERS);
  if (excess === null) return;
  throw new AssistantError("worker_error", `it has ${excess}; send large tensors in raw_output_contents.`);
}

/** What an encoded message has too much of; null: nothing. */
function excessIn(bytes: Buffer, shape: Shape, limits: Limits): string | null {
  let fields = 0;
  let packedBytes = 0;
  const walk = (start: number, end: number, { messages, packed }: Shape): void => {
    for (let at = start; at < end && fields <= limits.fields; fields++) {
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
          else if (packed.includes(field)) packedBytes += content.value;
          break;
        }
        default:
          // No protobuf, as the library will say.
          return;
      }
    }
  };
  walk(0, bytes.length, shape);
  if (fields > limits.fields) return `more than ${limits.fields} fields`;
  return packedBytes > limits.packedBytes ? `more than ${limits.packedBytes} bytes of numbers` : null;
}

function varint(bytes: Buffer, at: number): { readonly value: number; readonly end: number } {
  let value = 0;
  for (let index = 0; index < MAX_VARINT_BYTES; index++) {
    const byte = bytes[at + index] ?? 0;
    value += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80) return { value, end: at + index + 1 };
  }
  return { value, end: at + MAX_VARINT_BYTES };
}
