import fc from "fast-check";
import { expect, test } from "vitest";
import { Sentences } from "../../../src/pipelines/sentences.ts";
import type { StageContext } from "../../../src/pipelines/stage.ts";
import { splitterStage } from "../../../src/pipelines/stages/splitter.ts";

function divided(pieces: readonly string[]): string[] {
  const sentences = new Sentences();
  const done = pieces.flatMap((piece) => sentences.push(piece));
  const rest = sentences.flush();
  return rest === null ? done : [...done, rest];
}

test.each([
  ["a comma, a full stop of either width", ["你好，世界。再见"], ["你好，", "世界。", "再见"]],
  ["question and exclamation marks", ["Really? Yes! ok"], ["Really?", " Yes!", " ok"]],
  ["parentheses", ["one (two) three"], ["one (", "two)", " three"]],
  ["a soft mark after ten characters", ["一二三四五六七八九、十"], ["一二三四五六七八九、", "十"]],
  ["no soft mark before that", ["甲、乙、丙"], ["甲、乙、丙"]],
  ["pieces that end anywhere", ["你", "好，世", "界"], ["你好，", "世界"]],
  ["marks alone belong to what follows", ["好!!! 是"], ["好!", "!! 是"]],
])("divides at %s", (_, pieces, expected) => {
  expect(divided(pieces)).toEqual(expected);
});

test("the sentences together are the text, however it comes", () => {
  const piece = fc.string({ unit: fc.constantFrom("a", "，", ",", "。", "、", "：", "(", "字", " ", "9", "😀") });
  fc.assert(
    fc.property(fc.array(piece), (pieces) => {
      expect(divided(pieces).join("")).toBe(pieces.join(""));
      expect(divided([pieces.join("")])).toEqual(divided(pieces));
    }),
  );
});

test("a long row of marks takes no time of its square", () => {
  expect(divided(["：".repeat(200_000)]).join("")).toHaveLength(200_000);
});

test("a text without marks is divided before it has no end", () => {
  expect(Math.max(...divided(["a".repeat(50_000)]).map((text) => text.length))).toBeLessThanOrEqual(10_000);
});

test("a long text is divided in turns with other work, and its characters stay whole", async () => {
  const text = `.${"😀".repeat(100_000)}`;
  let turns = 0;
  let done = false;
  const count = (): void => {
    turns++;
    if (!done) setImmediate(count);
  };
  setImmediate(count);
  const sentences: unknown[] = [];
  const input = (async function* () {
    yield text;
  })();
  for await (const { next } of splitterStage({ use: "splitter" }).run(input, {} as StageContext)) sentences.push(next);
  done = true;
  expect(turns).toBeGreaterThan(5);
  expect(sentences.join("")).toBe(text);
  expect(sentences.every((each) => String(each).isWellFormed())).toBe(true);
});
