import { describe, expect, it } from "vitest";
import { AssistantError } from "../../../../src/core/errors.ts";
import type { JsonObject } from "../../../../src/core/inference.ts";
import { type AnswerPlan, ResponseAnswer } from "../../../../src/gateway/doors/openai/responses/answer.ts";
import { newResponseId, responseOfItem } from "../../../../src/gateway/doors/openai/responses/ids.ts";
import { readRequest } from "../../../../src/gateway/doors/openai/responses/request.ts";
import { eventErrors, schemaErrors } from "../../../support/openai-schema.ts";

const NO_HISTORY = { itemsThrough: async () => [], item: async () => null };
const { repeated } = await readRequest({ model: "river", input: "Name three rivers." }, NO_HISTORY);

interface Told {
  readonly answer: ResponseAnswer;
  readonly events: (JsonObject & { readonly type?: string })[];
  /** Types of the events, several deltas in a row as one. */
  readonly types: () => string[];
}

function answerOf(changes: Partial<AnswerPlan> = {}): Told {
  const events: Told["events"] = [];
  const answer = new ResponseAnswer({
    id: newResponseId(),
    createdAt: 1_700_000_000,
    model: "river",
    repeated,
    summarizes: false,
    inputItems: 1,
    // As they are written: what changes later must not change what was sent.
    onEvent: (event) => events.push(JSON.parse(JSON.stringify(event))),
    ...changes,
  });
  const types = (): string[] =>
    events
      .map(({ type = "" }) => type)
      .filter((type, index, all) => !type.endsWith("delta") || all[index - 1] !== type);
  return { answer, events, types };
}

const delta = (fields: object, finish: string | null = null): JsonObject => ({
  choices: [{ index: 0, delta: fields, finish_reason: finish }],
});
const call = (index: number, fields: object): JsonObject => delta({ tool_calls: [{ index, ...fields }] });
const usage = {
  prompt_tokens: 12,
  completion_tokens: 5,
  total_tokens: 17,
  prompt_tokens_details: { cached_tokens: 8 },
};

function play({ answer }: Told, ...chunks: readonly JsonObject[]): void {
  answer.created();
  answer.begin("river");
  for (const chunk of chunks) answer.chunk(chunk);
}

function expectValid({ answer, events }: Told): void {
  expect(events.map((event) => event["sequence_number"])).toEqual(events.map((_, index) => index));
  for (const event of events) expect(eventErrors(event), String(event.type)).toEqual([]);
  expect(schemaErrors("Response", answer.response)).toEqual([]);
}

const MESSAGE = [
  "response.output_item.added",
  "response.content_part.added",
  "response.output_text.delta",
  "response.output_text.done",
  "response.content_part.done",
  "response.output_item.done",
];
const CALL = [
  "response.output_item.added",
  "response.function_call_arguments.delta",
  "response.function_call_arguments.done",
  "response.output_item.done",
];

describe("an answer of the Responses API", () => {
  it("tells of a text in the order of OpenAI's events, with usage at the end", () => {
    const told = answerOf();
    play(told, delta({ role: "assistant", content: null }), delta({ content: "The " }), delta({ content: "Rhine" }));
    told.answer.chunk(delta({}, "stop"));
    told.answer.chunk({ choices: [], usage });
    told.answer.finish();
    expect(told.types()).toEqual(["response.created", "response.in_progress", ...MESSAGE, "response.completed"]);
    expectValid(told);
    const { response } = told.answer;
    expect(response["status"]).toBe("completed");
    expect(response.output).toMatchObject([
      { type: "message", status: "completed", content: [{ type: "output_text", text: "The Rhine" }] },
    ]);
    expect(response["usage"]).toMatchObject({
      input_tokens: 12,
      input_tokens_details: { cached_tokens: 8 },
      output_tokens: 5,
      total_tokens: 17,
    });
    expect(responseOfItem(response.output[0]?.id ?? "")).toBe(response.id);
  });

  it("gives the call of a custom tool its text, and not the arguments that a model writes", () => {
    const tools = [{ type: "custom", name: "patch", description: "Patch a file." }];
    const told = answerOf({ customTools: ["patch"], repeated: { ...repeated, tools } });
    play(
      told,
      call(0, { id: "call_a", type: "function", function: { name: "patch", arguments: '{"input":"*** ' } }),
      call(0, { function: { arguments: 'Begin\\n\\"x\\""}' } }),
      call(1, { id: "call_b", type: "function", function: { name: "patch", arguments: "bare text" } }),
      delta({}, "tool_calls"),
    );
    told.answer.finish();
    const custom = ["response.custom_tool_call_input.delta", "response.custom_tool_call_input.done"];
    const item = ["response.output_item.added", ...custom, "response.output_item.done"];
    expect(told.types()).toEqual(["response.created", "response.in_progress", ...item, ...item, "response.completed"]);
    expectValid(told);
    expect(told.answer.response.output).toMatchObject([
      { type: "custom_tool_call", call_id: "call_a", name: "patch", input: '*** Begin\n"x"', status: "completed" },
      { type: "custom_tool_call", call_id: "call_b", input: "bare text" },
    ]);
  });

  it("gives functions of namespaces their own names back", () => {
    const namespaced = new Map([["fs__read", { namespace: "fs", name: "read" }]]);
    const told = answerOf({ namespaced });
    play(
      told,
      call(0, { id: "call_a", type: "function", function: { name: "fs__read", arguments: "{}" } }),
      delta({}, "tool_calls"),
    );
    told.answer.finish();
    expect(told.answer.response.output).toMatchObject([
      { type: "function_call", call_id: "call_a", namespace: "fs", name: "read", arguments: "{}" },
    ]);
  });

  it("gives reasoning, text and each of several calls an item, one after the other", () => {
    const told = answerOf();
    play(
      told,
      delta({ reasoning_content: "Rivers." }),
      delta({ content: "Let me look." }),
      call(0, { id: "call_a", type: "function", function: { name: "look", arguments: "" } }),
      call(0, { function: { arguments: '{"at":' } }),
      call(0, { function: { arguments: '"Bonn"}' } }),
      call(1, { id: "call_b", type: "function", function: { name: "look", arguments: "{}" } }),
      delta({}, "tool_calls"),
    );
    told.answer.finish();
    const reasoning = MESSAGE.map((type) => type.replace("output_text", "reasoning_text"));
    expect(told.types()).toEqual([
      ...["response.created", "response.in_progress", ...reasoning, ...MESSAGE, ...CALL, ...CALL, "response.completed"],
    ]);
    expectValid(told);
    expect(told.answer.response.output).toMatchObject([
      { type: "reasoning", content: [{ type: "reasoning_text", text: "Rivers." }], summary: [] },
      { type: "message" },
      { type: "function_call", call_id: "call_a", name: "look", arguments: '{"at":"Bonn"}', status: "completed" },
      { type: "function_call", call_id: "call_b", name: "look", arguments: "{}", status: "completed" },
    ]);
  });

  it("shows reasoning as a summary to clients that ask for one", () => {
    const told = answerOf({ summarizes: true });
    play(told, delta({ reasoning_content: "Rivers." }), delta({ content: "Rhine" }, "stop"));
    told.answer.finish();
    expect(told.types().slice(3, 7)).toEqual([
      "response.reasoning_summary_part.added",
      "response.reasoning_summary_text.delta",
      "response.reasoning_summary_text.done",
      "response.reasoning_summary_part.done",
    ]);
    expectValid(told);
    expect(told.answer.response.output[0]).toMatchObject({ summary: [{ type: "summary_text", text: "Rivers." }] });
  });

  it("tells calls apart that a server counts alike, by their ids", () => {
    const told = answerOf();
    const named = (id: string): JsonObject => call(0, { id, function: { name: "look", arguments: "{}" } });
    play(told, named("call_a"), named("call_b"), delta({}, "tool_calls"));
    told.answer.finish();
    expect(told.answer.response.output.map((item) => item["call_id"])).toEqual(["call_a", "call_b"]);
  });

  it("refuses more of a call that another one has followed", () => {
    const told = answerOf();
    play(
      told,
      call(0, { id: "call_a", function: { name: "look", arguments: "{" } }),
      call(1, { id: "call_b", function: { name: "look", arguments: "{}" } }),
    );
    expect(() => told.answer.chunk(call(0, { function: { arguments: "}" } }))).toThrow(/tool call/);
  });

  it("is incomplete where the tokens did not suffice", () => {
    const told = answerOf();
    play(told, delta({ content: "The" }, "length"));
    told.answer.finish();
    expect(told.types().at(-1)).toBe("response.incomplete");
    expectValid(told);
    expect(told.answer.response["incomplete_details"]).toEqual({ reason: "max_output_tokens" });
    expect(told.answer.response.output).toMatchObject([{ status: "incomplete" }]);
  });

  it("ends with an error and response.failed where the engine is lost, and keeps what came", () => {
    const told = answerOf();
    play(told, delta({ content: "The" }));
    told.answer.fail(new AssistantError("engine_lost", "The engine died."));
    expect(told.types().slice(-2)).toEqual(["error", "response.failed"]);
    expectValid(told);
    expect(told.answer.response["error"]).toEqual({ code: "server_error", message: "The engine died." });
    expect(told.answer.response.output).toMatchObject([{ status: "incomplete", content: [{ text: "The" }] }]);
  });

  it("is the same made from an answer in one piece", () => {
    const told = answerOf();
    told.answer.begin(null);
    told.answer.whole({
      choices: [
        {
          message: {
            role: "assistant",
            content: "Look.",
            reasoning_content: "Hm.",
            tool_calls: [{ id: "call_a", type: "function", function: { name: "look", arguments: "{}" } }],
          },
          finish_reason: "tool_calls",
        },
      ],
      usage,
    });
    told.answer.finish();
    expect(told.answer.response.output.map(({ type }) => type)).toEqual(["reasoning", "message", "function_call"]);
    expect(schemaErrors("Response", told.answer.response)).toEqual([]);
  });

  it("carries the probabilities of tokens", () => {
    const told = answerOf();
    const token = { token: "The", logprob: -0.5, bytes: [84], top_logprobs: [] };
    play(told, {
      choices: [{ delta: { content: "The" }, logprobs: { content: [token] }, finish_reason: "stop" }],
    });
    told.answer.finish();
    expectValid(told);
    expect(told.answer.response.output).toMatchObject([{ content: [{ logprobs: [token] }] }]);
  });
});
