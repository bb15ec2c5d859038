const QUOTE = 34;
const BACKSLASH = 92;
const OPEN_BRACE = 123;
const CLOSE_BRACE = 125;
const OPEN_BRACKET = 91;
const CLOSE_BRACKET = 93;
const COLON = 58;
const COMMA = 44;

const isSpace = (byte: number | undefined): boolean => byte === 32 || byte === 9 || byte === 10 || byte === 13;

/**
 * A JSON object's bytes with another value of its `model`, and every other byte as it was: numbers too large for a double,
 * duplicate keys and the order of keys reach the provider as the client wrote them. `bytes` must have parsed as an object.
 */
export function withModel(bytes: Buffer, model: string): Buffer {
  const value = Buffer.from(JSON.stringify(model));
  const spans = modelSpans(bytes);
  if (spans.length === 0) {
    const start = bytes.indexOf(OPEN_BRACE) + 1;
    const isEmpty = bytes.subarray(start).find((byte) => !isSpace(byte)) === CLOSE_BRACE;
    const field = Buffer.concat([Buffer.from('"model":'), value, Buffer.from(isEmpty ? "" : ",")]);
    return Buffer.concat([bytes.subarray(0, start), field, bytes.subarray(start)]);
  }
  const parts: Buffer[] = [];
  let at = 0;
  for (const [from, to] of spans) {
    parts.push(bytes.subarray(at, from), value);
    at = to;
  }
  return Buffer.concat([...parts, bytes.subarray(at)]);
}

/** Where the values of the outermost `model` keys are. A client may write the key twice; which one counts is for the provider to say. */
function modelSpans(bytes: Buffer): (readonly [from: number, to: number])[] {
  const spans: (readonly [number, number])[] = [];
  let depth = 0;
  let isKey = false;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      depth += 1;
      isKey = depth === 1;
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) depth -= 1;
    else if (byte === COMMA) isKey = depth === 1;
    else if (byte === QUOTE) {
      const end = stringEnd(bytes, at);
      if (isKey && keyText(bytes, at, end) === "model") {
        const from = valueStart(bytes, end);
        const to = valueEnd(bytes, from);
        spans.push([from, to]);
        at = to - 1;
      } else at = end - 1;
      isKey = false;
    }
  }
  return spans;
}

/** Behind the closing quote of the string that begins at `from`. */
function stringEnd(bytes: Buffer, from: number): number {
  for (let at = from + 1; at < bytes.length; at++) {
    if (bytes[at] === BACKSLASH) at += 1;
    else if (bytes[at] === QUOTE) return at + 1;
  }
  return bytes.length;
}

/** Escapes included: `"\u006dodel"` is the same key. */
const keyText = (bytes: Buffer, from: number, to: number): unknown => JSON.parse(bytes.toString("utf8", from, to));

function valueStart(bytes: Buffer, from: number): number {
  let at = bytes.indexOf(COLON, from) + 1;
  while (isSpace(bytes[at])) at += 1;
  return at;
}

/** Of a string, or of a number or word: the door has refused anything else. */
function valueEnd(bytes: Buffer, from: number): number {
  if (bytes[from] === QUOTE) return stringEnd(bytes, from);
  let at = from;
  while (at < bytes.length && !isSpace(bytes[at]) && bytes[at] !== COMMA && bytes[at] !== CLOSE_BRACE) at += 1;
  return at;
}
