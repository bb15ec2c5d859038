type Expect = "value" | "value-or-end" | "key" | "key-or-end" | "colon" | "comma-or-end" | "end";

const SPACE = /[ \t\n\r]*/y;
const SCALAR = /"(?:[^"\\\p{Cc}]|[\u007f-\u009f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/uy;

/**
 * Where text that is not JSON stops being JSON: 0-based offset, 1-based line and column. The platform's parser tells
 * the place only now and then, and quotes the text instead. Meant for text that `JSON.parse` has refused.
 */
export function jsonErrorPosition(text: string): { readonly offset: number; readonly line: number; readonly column: number } {
  const offset = firstMistake(text);
  const before = text.slice(0, offset);
  const line = before.split("\n").length;
  return { offset, line, column: offset - before.lastIndexOf("\n") };
}

function firstMistake(text: string): number {
  const closers: string[] = [];
  let expect: Expect = "value";
  let at = 0;
  for (;;) {
    at = skip(SPACE, text, at);
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
      const end = isKey && char !== '"' ? at : skip(SCALAR, text, at);
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

/** Where the pattern's match at `from` ends; `from` itself where it does not match. */
function skip(pattern: RegExp, text: string, from: number): number {
  pattern.lastIndex = from;
  return pattern.test(text) ? pattern.lastIndex : from;
}
