const QUOTE = 34;
const BACKSLASH = 92;
const OPEN_BRACE = 123;
const CLOSE_BRACE = 125;
const OPEN_BRACKET = 91;
const CLOSE_BRACKET = 93;
const COLON = 58;
const COMMA = 44;

const isSpace = (byte: number | undefined): boolean => byte === 32 || byte === 9 || byte === 10 || byte === 13;

/** Another name of a member, another value, or both. */
export interface MemberEdit {
  readonly name?: string;
  readonly value?: unknown;
}

/** By a member's name; null: it is removed. */
export type MemberEdits = Readonly<Record<string, MemberEdit | null>>;

/**
 * Rewrites a JSON object's bytes with another `model` and edited members, and every other byte unchanged: numbers too
 * large for a double, duplicate keys and the order of keys reach the provider as the client wrote them. `bytes` must
 * have been parsed as an object.
 */
export function withModel(bytes: Buffer, model: string, others: MemberEdits = {}): Buffer {
  const edits: MemberEdits = { ...others, model: { value: model } };
  const members = membersOf(bytes);
  const head = bytes.subarray(0, members[0]?.from ?? bytes.indexOf(OPEN_BRACE) + 1);
  const isNamed = members.some(({ name }) => name === "model");
  const parts: Buffer[] = isNamed ? [head] : [head, Buffer.from('"model":'), encoded(model)];
  for (const [index, { from, nameEnd, valueFrom, to, name }] of members.entries()) {
    const edit = Object.hasOwn(edits, name) ? edits[name] : {};
    if (edit === null || edit === undefined) continue;
    if (parts.length > 1) parts.push(index === 0 ? Buffer.from(",") : bytes.subarray(members[index - 1]?.to, from));
    parts.push(
      edit.name === undefined ? bytes.subarray(from, nameEnd) : encoded(edit.name),
      bytes.subarray(nameEnd, valueFrom),
      edit.value === undefined ? bytes.subarray(valueFrom, to) : encoded(edit.value),
    );
  }
  return Buffer.concat([...parts, bytes.subarray(members.at(-1)?.to ?? head.length)]);
}

const encoded = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

/**
 * The position of a member of the outermost object: its name from `from` to `nameEnd`, its value from `valueFrom` to
 * `to`.
 */
interface Member {
  readonly name: string;
  readonly from: number;
  readonly nameEnd: number;
  readonly valueFrom: number;
  readonly to: number;
}

/** A client may write a key twice; the provider decides which one counts. */
function membersOf(bytes: Buffer): readonly Member[] {
  const members: Member[] = [];
  for (let at = bytes.indexOf(OPEN_BRACE) + 1; ; ) {
    const from = bytes.indexOf(QUOTE, at);
    if (from === -1) return members;
    const nameEnd = stringEnd(bytes, from);
    const valueFrom = valueStart(bytes, nameEnd);
    at = valueEnd(bytes, valueFrom);
    // Including escapes: `"\u006dodel"` is the same key.
    members.push({
      name: JSON.parse(bytes.toString("utf8", from, nameEnd)) as string,
      from,
      nameEnd,
      valueFrom,
      to: at,
    });
  }
}

/** After the closing quote of the string that begins at `from`. */
function stringEnd(bytes: Buffer, from: number): number {
  for (let at = from + 1; at < bytes.length; at++) {
    if (bytes[at] === BACKSLASH) at += 1;
    else if (bytes[at] === QUOTE) return at + 1;
  }
  return bytes.length;
}

function valueStart(bytes: Buffer, from: number): number {
  let at = bytes.indexOf(COLON, from) + 1;
  while (isSpace(bytes[at])) at += 1;
  return at;
}

/** After the value: before the comma or brace that follows, and the space before that. */
function valueEnd(bytes: Buffer, from: number): number {
  let depth = 0;
  let end = from;
  for (let at = from; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === QUOTE) at = stringEnd(bytes, at) - 1;
    else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth += 1;
    else if (depth > 0) depth -= byte === CLOSE_BRACE || byte === CLOSE_BRACKET ? 1 : 0;
    else if (byte === COMMA || byte === CLOSE_BRACE) return end;
    if (!isSpace(byte)) end = at + 1;
  }
  return end;
}
