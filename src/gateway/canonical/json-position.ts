/** What may come next in JSON text. */
type Expect = "value" | "value-or-end" | "key" | "key-or-end" | "colon" | "comma-or-end" | "end";

const LITERALS = ["true", "false", "null"] as const;

/**
 * Where text stops being valid JSON: 0-based offset, 1-based line and column. The platform's parser only sometimes
 * reports the position, and quotes the text instead. One pass; for text that `JSON.parse` has refused and whose nesting
 * is limited.
 */
export function jsonErrorPosition(text: string): {
  readonly offset: number;
  readonly line: number;
  readonly column: number;
} {
  const offset = firstMistake(text);
  let line = 1;
  let lineStart = 0;
  for (let at = 0; at < offset; at++) {
    if (text.charCodeAt(at) !== 10) continue;
    line++;
    lineStart = at + 1;
  }
  return { offset, line, column: offset - lineStart + 1 };
}

function firstMistake(text: string): number {
  const closers: string[] = [];
  let expect: Expect = "value";
  let at = 0;
  for (;;) {
    at = afterSpace(text, at);
    const char = text[at];
    if (char === undefined || expect === "end") return at;
    const ending = closers.at(-1);
    if (char === ending && expect !== "value" && expect !== "key" && expect !== "colon") {
      closers.pop();
      at++;
    } else if (expect === "colon" || expect === "comma-or-end") {
      if (char !== (expect === "colon" ? ":" : ",")) return at;
      at++;
      expect = expect === "colon" || ending === "]" ? "value" : "key";
      continue;
    } else if (expect.startsWith("value") && (char === "{" || char === "[")) {
      closers.push(char === "{" ? "}" : "]");
      expect = char === "{" ? "key-or-end" : "value-or-end";
      at++;
      continue;
    } else {
      const isKey = expect.startsWith("key");
      const end = isKey && char !== '"' ? at : afterScalar(text, at);
      if (end === at) return at;
      at = end;
      if (isKey) {
        expect = "colon";
        continue;
      }
    }
    expect = closers.length > 0 ? "comma-or-end" : "end";
  }
}

function afterSpace(text: string, from: number): number {
  let at = from;
  for (
    let code = text.charCodeAt(at);
    code === 32 || code === 10 || code === 13 || code === 9;
    code = text.charCodeAt(at)
  )
    at++;
  return at;
}

/** The end of the string, number or literal at `from`; `from` itself if there is none. */
function afterScalar(text: string, from: number): number {
  const char = text[from] as string;
  if (char === '"') return afterString(text, from);
  if (char === "-" || isDigit(text.charCodeAt(from))) return afterNumber(text, from);
  const literal = LITERALS.find((word) => text.startsWith(word, from));
  return from + (literal?.length ?? 0);
}

// Without a regular expression, which needs more memory than the text when it repeats over megabytes.
function afterString(text: string, from: number): number {
  for (let at = from + 1; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 34) return at + 1;
    if (code < 32) return from;
    if (code !== 92) continue;
    const escaped = text[++at];
    if (escaped === "u") {
      if (!/^[0-9a-fA-F]{4}$/.test(text.slice(at + 1, at + 5))) return from;
      at += 4;
    } else if (escaped === undefined || !'"\\/bfnrt'.includes(escaped)) return from;
  }
  return from;
}

/** Digits that JSON does not allow, such as those after a leading zero, are not part of the number. */
function afterNumber(text: string, from: number): number {
  const start = text[from] === "-" ? from + 1 : from;
  const whole = text[start] === "0" ? start + 1 : afterDigits(text, start);
  if (whole === start) return from;
  let end = whole;
  if (text[end] === ".") {
    const fraction = afterDigits(text, end + 1);
    if (fraction === end + 1) return end;
    end = fraction;
  }
  if (text[end] !== "e" && text[end] !== "E") return end;
  const sign = text[end + 1];
  const exponent = end + (sign === "+" || sign === "-" ? 2 : 1);
  const last = afterDigits(text, exponent);
  return last === exponent ? end : last;
}

function afterDigits(text: string, from: number): number {
  let at = from;
  while (isDigit(text.charCodeAt(at))) at++;
  return at;
}

const isDigit = (code: number): boolean => code >= 48 && code <= 57;
