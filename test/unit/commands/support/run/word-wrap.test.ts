import { expect, test } from "vitest";
import { WordWrap } from "../../../../../commands/support/run/word-wrap.ts";

const ESCAPE = "\\u001b";
const TOKENS = new RegExp(`${ESCAPE}\\[(\\d+)D${ESCAPE}\\[K|[^]`, "gu");

/** What a terminal of this width shows after the pieces were written: only what the wrapper uses of a terminal. */
function screen(columns: number, ...pieces: string[]): string[] {
  const lines = [""];
  const wrap = new WordWrap({
    columns,
    write: (text) => {
      for (const [part] of text.matchAll(TOKENS)) {
        const back = /\[(\d+)D/u.exec(part)?.[1];
        const last = lines.length - 1;
        if (back !== undefined) lines[last] = (lines[last] ?? "").slice(0, -Number(back));
        else if (part === "\n") lines.push("");
        else lines[last] += part;
      }
    },
  });
  for (const piece of pieces) wrap.write(piece);
  return lines;
}

test("a word that does not fit is moved to the next line as a whole, however it came", () => {
  const expected = ["the quick ", "brown fox ", "jumps"];
  expect(screen(12, "the quick brown fox jumps")).toEqual(expected);
  expect(screen(12, ..."the quick brown fox jumps")).toEqual(expected);
  expect(screen(12, "the qui", "ck bro", "wn fox ju", "mps")).toEqual(expected);
});

test("lines of the text stay lines, and blanks at the edge vanish", () => {
  expect(screen(8, "one\ntwo three\n\nfour")).toEqual(["one", "two ", "three", "", "four"]);
  expect(screen(6, "abcde fghij")).toEqual(["abcde", "fghij"]);
});

test("a word longer than a line goes on where it is", () => {
  expect(screen(6, "abcdefghijkl mn").join("|")).toContain("abcdefghijkl");
});

test("wide characters count twice and may be parted anywhere", () => {
  expect(screen(7, "日本語日本語")).toEqual(["日本語", "日本語"]);
});
