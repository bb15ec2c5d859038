import { expect, test } from "vitest";
import { MessageLines } from "../../../../../commands/support/run/multiline.ts";

/** Feeds lines; a line that ends with ⏎ was ended by Alt-Enter. Gives the messages that came of them. */
function type(...lines: string[]): string[] {
  const message = new MessageLines();
  return lines.flatMap((line) => {
    const goesOn = line.endsWith("⏎");
    const result = message.add(goesOn ? line.slice(0, -1) : line, goesOn);
    return result.type === "message" ? [result.text] : [];
  });
}

test.each([
  [["hello"], ["hello"]],
  [["a\\", "b"], ["a\nb"]],
  [["a path C:\\\\"], ["a path C:\\\\"]],
  [["a⏎", "b⏎", "c"], ["a\nb\nc"]],
  [['"""a', "b", 'c"""'], ["a\nb\nc"]],
  [['"""', "a", '"""'], ["a"]],
  [['"""all on one line"""'], ["all on one line"]],
  [['"""a\\', 'b"""'], ["a\\\nb"]],
  [['say """ in the middle'], ['say """ in the middle']],
  [['/set system """one', 'two"""'], ["/set system one\ntwo"]],
  [
    ["first", "second"],
    ["first", "second"],
  ],
])("%j makes %j", (lines, messages) => {
  expect(type(...lines)).toEqual(messages);
});

test("what was typed can be dropped", () => {
  const message = new MessageLines();
  message.add('"""half', false);
  expect(message.pending).toBe(true);
  message.reset();
  expect(message.pending).toBe(false);
  expect(message.add("new", false)).toEqual({ type: "message", text: "new" });
});
