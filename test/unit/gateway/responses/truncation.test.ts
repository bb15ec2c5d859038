import { expect, test } from "vitest";
import { AssistantError } from "../../../../src/core/errors.ts";
import type { AnswerSink, InferenceCall, JsonObject } from "../../../../src/core/inference.ts";
import { type ResponseRequest, readRequest } from "../../../../src/gateway/doors/openai/responses/request.ts";
import { runFitting, withoutOldest } from "../../../../src/gateway/doors/openai/responses/truncation.ts";
import { chatCall, RecordingSink } from "../../../support/calls.ts";

const said = (role: string, content: string): JsonObject => ({ role, content });
const LONG = [
  said("developer", "Be brief."),
  ...["one", "two", "three"].flatMap((word) => [said("user", word.repeat(20)), said("assistant", word.repeat(20))]),
  said("user", "And now?"),
];
const requestOf = (input: readonly JsonObject[], truncation = "auto"): Promise<ResponseRequest> =>
  readRequest({ model: "river", input, truncation }, null);
const tooLong = (tokens: number): AssistantError =>
  new AssistantError("context_length_exceeded", "too long", { counts: { n_prompt_tokens: tokens, n_ctx: 100 } });
const messagesOf = ({ chat }: ResponseRequest): readonly JsonObject[] => chat["messages"] as readonly JsonObject[];

/** A model whose context holds so many messages. */
function core(most: number, refusal = tooLong) {
  const asked: (readonly JsonObject[])[] = [];
  return {
    asked,
    run: async ({ body }: InferenceCall, sink: AnswerSink): Promise<void> => {
      const messages = body.json["messages"] as readonly JsonObject[];
      asked.push(messages);
      if (messages.length > most) return sink.fail(refusal(100 + messages.length), [], true);
      sink.head(200, []);
      sink.end(Buffer.from("{}"));
    },
  };
}

test("the oldest messages are left out until the rest fits, and never instructions and the last turn", async () => {
  const request = await requestOf(LONG);
  const model = core(3);
  const sink = new RecordingSink();
  await runFitting(model, chatCall({}), request, sink);
  expect([sink.status, sink.ending]).toEqual([200, "end"]);
  expect(model.asked.at(-1)?.map(({ content }) => content)).toEqual(["Be brief.", "three".repeat(20), "And now?"]);
});

test("a conversation that an engine's body cannot hold is too long as well", async () => {
  const sink = new RecordingSink();
  const model = core(3, () => new AssistantError("body_too_large", "too large"));
  await runFitting(model, chatCall({}), await requestOf(LONG), sink);
  expect([sink.status, sink.ending, model.asked.at(-1)?.length]).toEqual([200, "end", 3]);
});

test("what does not fit at all is refused as it is without truncation", async () => {
  const sink = new RecordingSink();
  await runFitting(core(1), chatCall({}), await requestOf(LONG), sink);
  expect(sink.ending).toMatchObject({ code: "context_length_exceeded" });
  const model = core(3);
  await runFitting(model, chatCall({}), await requestOf(LONG, "disabled"), new RecordingSink());
  expect(model.asked.length).toBe(1);
});

test("a call and its output go together, and as much goes as the counts say", async () => {
  const request = await requestOf([
    said("user", "Look."),
    { type: "function_call", call_id: "c1", name: "look", arguments: "{}" },
    { type: "function_call_output", call_id: "c1", output: "x".repeat(400) },
    said("assistant", "Seen."),
    said("user", "Again."),
  ]);
  const shorter = withoutOldest(request, tooLong(110));
  expect(messagesOf(shorter as ResponseRequest).map(({ role }) => role)).toEqual(["assistant", "user"]);
  expect(shorter?.places).toHaveLength(2);
});

test("a conversation of one turn has nothing that could be left out", async () => {
  expect(withoutOldest(await requestOf([said("developer", "Be brief."), said("user", "x")]), tooLong(500))).toBeNull();
});
