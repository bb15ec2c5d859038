import { expect, test } from "vitest";
import { googleWire } from "../../../fakes/dialects/google-wire.ts";
import { plays } from "../../../fakes/dialects/server.ts";
import { type AskOptions, ask, type Fields, WEATHER } from "../../../support/translated.ts";

/** What the provider was sent. */
async function sent(fields: Fields, options: AskOptions = {}): Promise<Record<string, unknown>> {
  const { request, failure } = await ask("google", plays(googleWire.text), fields, options);
  if (request === null) throw failure ?? new Error("nothing was sent");
  return request.body;
}

test("the request names the model in its path, and has the key in a header", async () => {
  const { request } = await ask("google", plays(googleWire.text));
  expect(request?.path).toBe("/models/gemini-2.5-flash:streamGenerateContent?alt=sse");
  expect(request?.headers["x-goog-api-key"]).toBe("secret-key");
});

test("a request that says nothing more sets nothing more", async () => {
  expect(await sent({})).toEqual({
    generationConfig: {},
    contents: [{ role: "user", parts: [{ text: "Name three rivers." }] }],
  });
});

test("settings have Google's names", async () => {
  const fields = {
    max_tokens: 100,
    temperature: 1.5,
    top_p: 0.9,
    top_k: 5,
    seed: 7,
    stop: "END",
    presence_penalty: 0.5,
  };
  expect(await sent(fields, { model: "gemini-3-pro-preview" })).toMatchObject({
    generationConfig: {
      maxOutputTokens: 100,
      temperature: 1.5,
      topP: 0.9,
      topK: 5,
      seed: 7,
      stopSequences: ["END"],
      presencePenalty: 0.5,
    },
  });
});

test("system and developer messages are the system instruction", async () => {
  const messages = [
    { role: "system", content: "Be brief." },
    { role: "developer", content: "In German." },
    { role: "user", content: "Hello." },
    { role: "assistant", content: "Hallo." },
    { role: "user", content: "Again." },
  ];
  expect(await sent({ messages })).toMatchObject({
    systemInstruction: { parts: [{ text: "Be brief." }, { text: "In German." }] },
    contents: [
      { role: "user", parts: [{ text: "Hello." }] },
      { role: "model", parts: [{ text: "Hallo." }] },
      { role: "user", parts: [{ text: "Again." }] },
    ],
  });
});

test("images, sound and videos go as data, or by their address with the type that its ending says", async () => {
  const content = [
    { type: "image_url", image_url: { url: "data:image/jpeg;base64,/9j/4AA=" } },
    { type: "image_url", image_url: { url: "https://example.com/river.PNG?x=1" } },
    { type: "input_audio", input_audio: { data: "UklGRg==", format: "wav" } },
    { type: "video_url", video_url: { url: "https://example.com/river.mp4" } },
  ];
  expect(await sent({ messages: [{ role: "user", content }] })).toMatchObject({
    contents: [
      {
        parts: [
          { inlineData: { mimeType: "image/jpeg", data: "/9j/4AA=" } },
          { fileData: { mimeType: "image/png", fileUri: "https://example.com/river.PNG?x=1" } },
          { inlineData: { mimeType: "audio/wav", data: "UklGRg==" } },
          { fileData: { mimeType: "video/mp4", fileUri: "https://example.com/river.mp4" } },
        ],
      },
    ],
  });
});

test("results of calls that were made together go back together, and signatures to their calls", async () => {
  const call = (id: string, city: string, more: object = {}): object => ({
    id,
    type: "function",
    function: { name: "get_weather", arguments: JSON.stringify({ city }) },
    ...more,
  });
  const extra_content = { google: { thought_signature: "c2lnbmVk" } };
  const messages = [
    { role: "user", content: "Weather?" },
    { role: "assistant", content: null, tool_calls: [call("a", "Paris", { extra_content }), call("b", "Rome")] },
    { role: "tool", tool_call_id: "a", content: "Rain" },
    { role: "tool", tool_call_id: "b", content: "Sun" },
  ];
  const body = await sent({ messages, tools: [WEATHER] });
  const result = (id: string, content: string): object => ({
    functionResponse: { id, name: "get_weather", response: { name: "get_weather", content } },
  });
  expect((body["contents"] as unknown[]).slice(1)).toEqual([
    {
      role: "model",
      parts: [
        { functionCall: { id: "a", name: "get_weather", args: { city: "Paris" } }, thoughtSignature: "c2lnbmVk" },
        { functionCall: { id: "b", name: "get_weather", args: { city: "Rome" } } },
      ],
    },
    { role: "user", parts: [result("a", "Rain"), result("b", "Sun")] },
  ]);
});

test.each([
  ["auto", { mode: "AUTO" }],
  ["none", { mode: "NONE" }],
  ["required", { mode: "ANY" }],
  [
    { type: "function", function: { name: "get_weather" } },
    { mode: "ANY", allowedFunctionNames: ["get_weather"] },
  ],
])("tool_choice %j", async (tool_choice, expected) => {
  expect(await sent({ tools: [WEATHER], tool_choice })).toMatchObject({
    tools: [{ functionDeclarations: [{ name: "get_weather", parametersJsonSchema: WEATHER.function.parameters }] }],
    toolConfig: { functionCallingConfig: expected },
  });
});

const schema = { type: "object", properties: { rivers: { type: "array", items: { type: "string" }, maxItems: 3 } } };

test("a schema is the form of the response", async () => {
  const response_format = { type: "json_schema", json_schema: { name: "rivers", strict: true, schema } };
  expect(await sent({ response_format })).toMatchObject({
    generationConfig: { responseMimeType: "application/json", responseJsonSchema: schema },
  });
});

test("JSON of any form can be asked for", async () => {
  const { generationConfig } = await sent({ response_format: { type: "json_object" } });
  expect(generationConfig).toEqual({ responseMimeType: "application/json" });
});

test.each([
  ["gemini-2.5-flash", { reasoning_effort: "medium" }, { thinkingBudget: 19_661, includeThoughts: true }],
  ["gemini-2.5-flash", { reasoning_effort: "none" }, { thinkingBudget: 0 }],
  ["gemini-2.5-flash", { reasoning_budget_tokens: 512 }, { thinkingBudget: 512, includeThoughts: true }],
  ["gemini-2.5-flash", { reasoning_budget_tokens: 0 }, { thinkingBudget: 0, includeThoughts: false }],
  ["gemini-3-pro-preview", { reasoning_effort: "high" }, { thinkingLevel: "high", includeThoughts: true }],
])("%s with %j", async (model, fields, thinkingConfig) => {
  expect(await sent(fields, { model })).toMatchObject({ generationConfig: { thinkingConfig } });
});
