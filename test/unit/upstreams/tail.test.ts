import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readFacts, Tail } from "../../../src/upstreams/answer/tail.ts";

describe("the tail", () => {
  test("holds the last kilobytes of everything that was pushed", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 20_000 }), { maxLength: 20 }), (sizes) => {
        const tail = new Tail();
        const all = Buffer.concat(sizes.map((size, index) => Buffer.alloc(size, 65 + (index % 26))));
        let at = 0;
        for (const size of sizes) {
          tail.push(all.subarray(at, at + size));
          at += size;
        }
        const kept = Buffer.from(tail.bytes());
        tail.release();
        expect(kept.length).toBeGreaterThanOrEqual(Math.min(all.length, 8192));
        expect(kept.equals(all.subarray(all.length - kept.length))).toBe(true);
      }),
      { numRuns: 50 },
    );
  });

  test("sees the end of a body that arrives in pieces", () => {
    const tail = new Tail();
    for (const piece of ["data: x\n\n\r\n0", "\r", "\n\r"]) {
      tail.push(Buffer.from(piece));
      expect(tail.endsBody()).toBe(false);
    }
    tail.push(Buffer.from("\n"));
    expect(tail.endsBody()).toBe(true);
    tail.release();
  });
});

describe("the facts of an answer", () => {
  const read = (text: string): ReturnType<typeof readFacts> => readFacts(Buffer.from(text));

  test("come from timings where there is no usage", () => {
    expect(
      read(
        'data: {"choices":[{"finish_reason":"length"}],"timings":{"cache_n":31,"prompt_n":1,"prompt_ms":10.08,"predicted_n":3,"predicted_ms":20.4}}\n\n',
      ),
    ).toEqual({
      promptTokens: 32,
      cachedTokens: 31,
      completionTokens: 3,
      promptMs: 10.08,
      completionMs: 20.4,
      finishReason: "length",
    });
  });

  test("come from usage in the spelling of other servers", () => {
    expect(
      read(
        '{"choices": [{"finish_reason": "stop"}], "usage": {"prompt_tokens": 7, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 5}}}',
      ),
    ).toMatchObject({
      promptTokens: 7,
      cachedTokens: 5,
      completionTokens: 2,
      finishReason: "stop",
    });
  });

  test("survive a chunk boundary within the event", () => {
    expect(read('"timings":{"cache_n":31,"prom\r\n1f\r\npt_n":4,"predicted_n":3}}').promptTokens).toBe(35);
  });

  test("are not taken from the text of an answer", () => {
    const text = JSON.stringify({ content: '"prompt_tokens": 99, "finish_reason":"stop"' });
    expect(read(`${text},"usage":null`)).toMatchObject({ promptTokens: null, finishReason: null });
  });

  test("are the last that are stated", () => {
    expect(
      read('"finish_reason":"length" "predicted_n":1 "finish_reason":"stop" "predicted_n":2 "finish_reason":null'),
    ).toMatchObject({
      finishReason: "stop",
      completionTokens: 2,
    });
  });
});
