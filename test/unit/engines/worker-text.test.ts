import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { StopText, TokenText } from "../../../src/engines/node-llama-cpp/worker/text.ts";

/** One token per byte: the worst case for characters that need several. */
const bytesOf = (text: string): number[] => [...Buffer.from(text, "utf8")];
const fromBytes = (tokens: readonly number[]): string => Buffer.from(tokens).toString("utf8");

function run(text: string, stops: readonly string[] = []): { pieces: string[]; stoppedBy: string | null } {
  const tokens = new TokenText<number>(fromBytes);
  const shown = new StopText(stops);
  const pieces: string[] = [];
  for (const token of bytesOf(text)) {
    pieces.push(shown.push(tokens.push(token)));
    if (shown.stoppedBy !== null) break;
  }
  pieces.push(shown.push(tokens.finish()), shown.finish());
  return { pieces: pieces.filter((piece) => piece !== ""), stoppedBy: shown.stoppedBy };
}

describe("text of an answer", () => {
  test("characters of several bytes come whole", () => {
    expect(run("a🦊é日").pieces).toEqual(["a", "🦊", "é", "日"]);
  });

  test("a character that was never completed is dropped", () => {
    const answer = new TokenText<number>(fromBytes);
    expect([answer.push(0x61), answer.push(0xf0), answer.push(0x9f), answer.finish()]).toEqual(["a", "", "", ""]);
  });

  test("a stop string ends the text before it, wherever the tokens are cut", () => {
    expect(run("one two three", [" two"])).toEqual({ pieces: ["o", "n", "e"], stoppedBy: " two" });
  });

  test("what only began like a stop string is shown in the end", () => {
    expect(run("one tw", [" two"])).toEqual({ pieces: ["o", "n", "e", " tw"], stoppedBy: null });
  });

  test("the stop string that comes first wins", () => {
    expect(run("a b c", ["c", "b"])).toMatchObject({ stoppedBy: "b" });
  });

  test("property: without a stop string all text arrives, and with one exactly what is before its first place", () => {
    const text = fc.string({ unit: fc.constantFrom("a", "b", "é", "🦊", " "), maxLength: 40 });
    const stops = fc.array(fc.string({ unit: fc.constantFrom("a", "b", "é", " "), minLength: 1, maxLength: 3 }), {
      maxLength: 3,
    });
    fc.assert(
      fc.property(text, stops, (whole, words) => {
        const { pieces } = run(whole, words);
        const places = words.map((word) => whole.indexOf(word)).filter((place) => place >= 0);
        // The stop string that is complete first ends the text; one that began earlier but is longer may have been cut
        // short by it.
        const shown = pieces.join("");
        expect(whole.startsWith(shown)).toBe(true);
        if (places.length === 0) expect(shown).toBe(whole);
        else for (const word of words) expect(shown).not.toContain(word);
      }),
    );
  });
});
