import fc from "fast-check";
import { expect, test } from "vitest";
import { faultOf, noFaults } from "../../../bench/stub/faults.ts";
import { answerToken, commonPrefix, expectedAnswer, renderPrompt, signatureOf } from "../../../bench/stub/text.ts";
import { promptMessages, text } from "../../../bench/workloads/prompts.ts";

test("the common beginning of two texts is found as one would find it byte by byte", () => {
  const bytes = fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 300 });
  fc.assert(
    fc.property(bytes, bytes, bytes, (start, a, b) => {
      const [one, other] = [Buffer.from([...start, ...a]), Buffer.from([...start, ...b])];
      let same = 0;
      while (same < Math.min(one.length, other.length) && one[same] === other[same]) same++;
      expect(commonPrefix(one, other)).toBe(same);
    }),
  );
});

test("an answer tells its prompt and the place of every token", () => {
  const answer = expectedAnswer("prompt", 6);
  expect(answer).toBe(`${signatureOf("prompt")} 004 005`);
  expect(expectedAnswer("another prompt", 6)).not.toBe(answer);
  for (const index of [0, 3, 4, 999, 1000]) expect(answerToken(signatureOf("prompt"), index)).toHaveLength(4);
});

test("a conversation goes on where its answer ended", () => {
  const first = promptMessages([{ role: "user", seed: "s", tokens: 20 }]);
  const second = promptMessages([
    { role: "user", seed: "s", tokens: 20 },
    { role: "assistant", tokens: 7 },
    { role: "user", seed: "t", tokens: 20 },
  ]);
  const held = renderPrompt({ messages: first }) + expectedAnswer(renderPrompt({ messages: first }), 7);
  expect(renderPrompt({ messages: second }).startsWith(held)).toBe(true);
});

test("a text has the size that was asked for, and another seed gives another", () => {
  expect(text("a", 50)).toHaveLength(200);
  expect(text("a", 50)).not.toBe(text("b", 50));
});

test("each fault meets its share of requests", () => {
  const faults = { ...noFaults, die: 0.1, reset: 0.2, busy: 0.05 };
  const met = Array.from({ length: 1000 }, (_, index) => faultOf(faults, (index + 0.5) / 1000));
  const count = (name: string | null): number => met.filter((fault) => fault === name).length;
  expect([count("die"), count("reset"), count("busy"), count("stall"), count(null)]).toEqual([100, 200, 50, 0, 650]);
});
