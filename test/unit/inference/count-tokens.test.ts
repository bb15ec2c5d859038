import { expect, test } from "vitest";
import { Cancellation } from "../../../src/core/cancellation.ts";
import type { InferenceCall } from "../../../src/core/inference.ts";
import { countTokens } from "../../../src/inference/count-tokens.ts";

test("texts are counted one by one, whatever the call is that needs it", async () => {
  const calls: InferenceCall[] = [];
  const core = {
    run: async (call: InferenceCall, sink: Parameters<Parameters<typeof countTokens>[0]["run"]>[1]) => {
      calls.push(call);
      sink.head(200, []);
      sink.end(Buffer.from(JSON.stringify({ tokens: [1, 2, -1, -1, 3] })));
    },
  };
  // A chat's own check would put the chat's body in the place of the texts.
  const chat = {
    caller: { tenant: "ann", models: null },
    route: "/v1/chat/completions",
    cancellation: new Cancellation(),
    selector: { model: "river", among: null },
    priority: 50,
    deadlineAt: null,
    hops: [],
    cachePart: null,
    checked: () => ({ body: { bytes: Buffer.alloc(0), json: {} }, prompt: {} }),
  };
  expect(await countTokens(core, ["one two", "", "three"], chat)).toEqual([2, 0, 1]);
  expect(calls[0]).toMatchObject({
    operation: "tokenize",
    body: { json: { model: "river", content: ["one two", -1, "", -1, "three"] } },
  });
  expect(calls[0]).not.toHaveProperty("checked");
});
