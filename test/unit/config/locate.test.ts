import { parse } from "@iarna/toml";
import fc from "fast-check";
import { expect, it } from "vitest";
import { type KeyPath, locate } from "../../../src/config/locate.ts";

const lineOf = (text: string, ...path: KeyPath): number | null => locate(text).line(path);

it("finds keys of tables, dotted keys and quoted keys", () => {
  const text = 'a = 1\n\n[server] # note\nhttp_addr = "x"\n"odd key".b.\'c.d\' = 2\n[scheduler.inner]\nx = 1\n';
  expect(lineOf(text, "a")).toBe(1);
  expect(lineOf(text, "server")).toBe(3);
  expect(lineOf(text, "server", "http_addr")).toBe(4);
  expect(lineOf(text, "server", "odd key", "b", "c.d")).toBe(5);
  expect(lineOf(text, "scheduler")).toBe(6);
  expect(lineOf(text, "scheduler", "inner", "x")).toBe(7);
});

it("counts the elements of arrays of tables, with tables below them", () => {
  const text = "[[s]]\nname = 1\n[s.t]\nx = 1\n[[s]]\nname = 2\n[s.t]\nx = 2\n[[s.u]]\ny = 1\n[[s.u]]\ny = 2\n";
  expect(lineOf(text, "s")).toBe(1);
  expect(lineOf(text, "s", 1)).toBe(5);
  expect(lineOf(text, "s", 0, "t", "x")).toBe(4);
  expect(lineOf(text, "s", 1, "t", "x")).toBe(8);
  expect(lineOf(text, "s", 1, "u", 1, "y")).toBe(12);
});

it("is not misled by brackets, comments and keys inside strings and arrays", () => {
  const text =
    'a = """\n[b]\nc = 1 \\""" # still inside\n"""\nd = \'\'\'\nx = "\n\'\'\'\ne = [\n  "]", # ]\n  { f = 1, g = [ 2,\n  3 ] },\n]\nh = "\\"]"\n[b]\nc = 2\n';
  expect(parse(text)).toHaveProperty("h", '"]');
  expect(lineOf(text, "b", "c")).toBe(15);
  expect(lineOf(text, "e", 0)).toBe(9);
  expect(lineOf(text, "e", 1, "g", 1)).toBe(11);
  expect(lineOf(text, "h")).toBe(13);
});

it("a multi-line string may end in quotes of its own", () => {
  const text = 'a = """x"""""\nb = 1\n';
  expect(parse(text)).toEqual({ a: 'x""', b: 1 });
  expect(lineOf(text, "b")).toBe(2);
});

it("answers with the nearest ancestor that the text names, else null", () => {
  expect(lineOf("\n[a]\nb = 1", "a", "missing", "deep")).toBe(2);
  expect(lineOf("\n[a]\nb = 1", "z")).toBeNull();
});

it("line ends of other systems count once", () => {
  expect(lineOf("a = 1\r\n\r\n[b]\r\nc = 2\r\n", "b", "c")).toBe(4);
});

/** Documents written line by line, so that the line of every key is known. */
const bareKey = fc.stringMatching(/^[A-Za-z0-9_-]{1,6}$/);
const anyKey = fc.oneof(
  bareKey.map((key) => ({ key, text: key })),
  fc
    .string({ minLength: 1, maxLength: 6 })
    .map((key) => ({ key, text: JSON.stringify(key).replaceAll("\u007f", "\\u007f") })),
);
const scalar = fc.oneof(
  fc.integer().map(String),
  fc.constantFrom("true", "1.5", "1979-05-27T07:32:00Z", "'# [x]'", '"# [x] \\" = "'),
  fc.constantFrom('"""\n[x]\ny = 1\n"""', "'''\n#\n'''", '"""a"""""'),
);
const value: fc.Arbitrary<string> = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    scalar,
    fc
      .tuple(fc.constantFrom(" ", "\n", " # ]\n"), fc.array(scalar, { maxLength: 3 }))
      .map(([gap, items]) => `[${gap}${items.join(`,${gap}`)}${gap}]`),
    tie("value").map((inner) => `{ k = ${String(inner).includes("\n") ? "1" : String(inner)} }`),
  ),
})).value as fc.Arbitrary<string>;
const section = fc.record({
  name: anyKey,
  array: fc.boolean(),
  pairs: fc.array(fc.tuple(anyKey, value), { maxLength: 4 }),
  blank: fc.nat(2),
});

it("agrees with how documents were written, whatever they hold", () => {
  fc.assert(
    fc.property(fc.array(section, { maxLength: 6 }), (sections) => {
      const lines: string[] = [];
      const expected: [KeyPath, number][] = [];
      const counts = new Map<string, number>();
      const shapes = new Map<string, boolean>();
      for (const { name, array, pairs, blank } of sections) {
        // A name is a table once, or an array of tables each time.
        if (shapes.has(name.key) && !(array && shapes.get(name.key))) continue;
        shapes.set(name.key, array);
        for (let i = 0; i < blank; i++) lines.push("# [comment]");
        const count = counts.get(name.key) ?? 0;
        counts.set(name.key, count + 1);
        const path = array ? [name.key, count] : [name.key];
        lines.push(array ? `[[${name.text}]]` : `[${name.text}]`);
        expected.push([path, lines.length]);
        const seen = new Set<string>();
        for (const [key, text] of pairs) {
          if (seen.has(key.key)) continue;
          seen.add(key.key);
          expected.push([[...path, key.key], lines.length + 1]);
          lines.push(...`${key.text} = ${text}`.split("\n"));
        }
      }
      const document = lines.join("\n");
      parse(document);
      const locator = locate(document);
      for (const [path, line] of expected)
        expect(locator.line(path), `${JSON.stringify(path)} in\n${document}`).toBe(line);
    }),
    { numRuns: 300 },
  );
});

it("ends on any text, TOML or not", () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom("[", "]", "{", "}", '"', "'", '"""', "=", ",", "\n", "#", "a", ".", "\\", " ")),
      (parts) => {
        expect(locate(parts.join("")).line(["nothing here"])).toBeNull();
      },
    ),
  );
});
