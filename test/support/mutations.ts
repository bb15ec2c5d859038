type Random = () => number;

const pick = <T>(random: Random, list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;

/** What programs trip over. As JSON text, since some of it is no value of the language. */
const HOSTILE: readonly string[] = [
  ...[
    "null",
    "true",
    "0",
    "-1",
    "1.5",
    "1e400",
    "-1e400",
    "9007199254740993",
    "2147483648",
    "18446744073709551616",
    "-0",
    "1e-400",
  ],
  ...[
    '""',
    '"x"',
    '"\\u0000"',
    '"\\ud800"',
    '"\\udc00\\ud800"',
    '"data:image/png;base64,AAAA"',
    '"http://169.254.169.254/"',
    '"\\uffff"',
    '"🦊"',
    '"__proto__"',
  ],
  ...[
    "[]",
    "[[]]",
    "[null]",
    "[-1]",
    "[1e400]",
    '["infill"]',
    '[""]',
    "{}",
    '{"type":"text"}',
    '{"__proto__":{"x":1}}',
    '{"$ref":"#"}',
    '{"type":"json_schema"}',
  ],
  ...[
    '{"type":"function","function":{"name":"f"}}',
    '[{"type":"function","function":{"name":"f"}}]',
    '[{"role":"king","content":"x"}]',
    '{"enum":[]}',
  ],
  `${"[".repeat(63)}1${"]".repeat(63)}`,
  `${"[".repeat(5_000)}1${"]".repeat(5_000)}`,
  `${'{"a":'.repeat(200)}1${"}".repeat(200)}`,
  `"${"x".repeat(70_000)}"`,
  `[${"1,".repeat(2_000)}1]`,
  JSON.stringify({ type: "string", pattern: "^(((((a{0,9}){0,9}){0,9}){0,9}){0,9})$" }),
  JSON.stringify({ anyOf: [{ $ref: "#" }] }),
  JSON.stringify({ type: "object", properties: { a: { $ref: "#" } } }),
  JSON.stringify(`root ::= ${"(".repeat(10_000)}`),
];

/** One body, changed once to four times: a value or a name exchanged, left out or added, or its bytes broken. */
export function mutated(random: Random, body: object, names: readonly string[]): Buffer {
  let value = structuredClone(body) as Record<string, unknown>;
  const texts: string[] = [];
  // A text that stands for another one: values that JSON.stringify cannot write take its place at the end.
  const placeholder = (text: string): string => `\u0001${texts.push(text) - 1}\u0001`;
  for (let count = 1 + Math.floor(random() * 4); count > 0; count--)
    value = change(random, value, names, placeholder) as Record<string, unknown>;
  const written = JSON.stringify(value).replace(
    /"\\u0001(\d+)\\u0001"/g,
    (_, index: string) => texts[Number(index)] as string,
  );
  return random() < 0.25 ? broken(random, Buffer.from(written)) : Buffer.from(written);
}

function change(
  random: Random,
  value: unknown,
  names: readonly string[],
  placeholder: (text: string) => string,
): unknown {
  const hostile = (): string => placeholder(pick(random, HOSTILE));
  if (typeof value !== "object" || value === null || random() < 0.1) return hostile();
  if (Array.isArray(value)) {
    const index = Math.floor(random() * (value.length + 1));
    const changed = [...value];
    if (random() < 0.2) changed.splice(index, 1);
    else if (random() < 0.3 || index === value.length) changed.splice(index, 0, hostile());
    else changed[index] = change(random, value[index], names, placeholder);
    return changed;
  }
  const known = Object.keys(value);
  const name = random() < 0.5 && known.length > 0 ? pick(random, known) : pick(random, names);
  const rest = { ...(value as Record<string, unknown>) };
  if (random() < 0.1) delete rest[name];
  else rest[name] = name in rest && random() < 0.6 ? change(random, rest[name], names, placeholder) : hostile();
  return rest;
}

function broken(random: Random, bytes: Buffer): Buffer {
  const at = Math.floor(random() * bytes.length);
  const kind = Math.floor(random() * 4);
  if (kind === 0) return bytes.subarray(0, at);
  if (kind === 1) return Buffer.concat([bytes.subarray(0, at), bytes]);
  const copy = Buffer.from(bytes);
  for (let count = kind === 2 ? 1 : 8; count > 0; count--)
    copy[Math.floor(random() * copy.length)] = Math.floor(random() * 256);
  return copy;
}
