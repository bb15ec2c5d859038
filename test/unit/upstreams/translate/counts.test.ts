import { expect, test } from "vitest";
import { answers, plays, providerServer } from "../../../fakes/dialects/server.ts";
import { chatCall, RecordingSink, sendingOf } from "../../../support/calls.ts";
import { connected, type DialectName, HELLO, WEATHER } from "../../../support/translated.ts";

async function counted(dialect: DialectName, script: Parameters<typeof providerServer>[0]) {
  await using server = await providerServer(script);
  using connection = connected(dialect, server.url);
  const sink = new RecordingSink();
  const json = { model: "river", messages: HELLO, tools: [WEATHER] };
  const call = chatCall({
    wire: "llamacpp.tokens",
    streamed: false,
    body: { json, bytes: Buffer.from(JSON.stringify(json)) },
  });
  const failure = await connection.upstream.send(sendingOf(call), sink).then(
    () => null,
    (error: unknown) => error,
  );
  return { sink, failure, request: server.requests[0] };
}

test("Anthropic counts by its own route, which gets messages and tools and no limit", async () => {
  const { sink, request } = await counted(
    "anthropic",
    answers(200, '{"input_tokens":403}', { "content-type": "application/json" }),
  );
  expect(JSON.parse(sink.text)).toEqual({ object: "response.input_tokens", input_tokens: 403 });
  expect(request?.path).toBe("/messages/count_tokens");
  expect(request?.headers).toMatchObject({ "x-api-key": "secret-key", "anthropic-version": "2023-06-01" });
  expect(request?.body).toMatchObject({
    model: "claude-sonnet-4-5",
    messages: [{ role: "user", content: [{ type: "text", text: "Name three rivers." }] }],
    tools: [{ name: "get_weather" }],
  });
  for (const name of ["max_tokens", "stream"]) expect(request?.body).not.toHaveProperty(name);
});

test("Google counts by its own route", async () => {
  const { sink, request } = await counted(
    "google",
    answers(200, '{"totalTokens":31}', { "content-type": "application/json" }),
  );
  expect(JSON.parse(sink.text)).toMatchObject({ input_tokens: 31 });
  expect(request?.path).toBe("/models/gemini-2.5-flash:countTokens");
  expect(request?.body).toMatchObject({
    generateContentRequest: { model: "models/gemini-2.5-flash", contents: [{ role: "user" }] },
  });
});

test.each([
  [
    "a rejected key",
    answers(401, '{"type":"error","error":{"type":"authentication_error","message":"no"}}'),
    "provider_rejected_key",
  ],
  [
    "an error with the status of an answer",
    answers(200, '{"type":"error","error":{"type":"overloaded_error","message":"busy"}}', {
      "content-type": "application/json",
    }),
    "provider_error",
  ],
  ["an answer without a count", answers(200, "{}", { "content-type": "application/json" }), "provider_error"],
  ["a stream", plays("data: {}\n\n"), "provider_error"],
])("%s is an error that names the provider", async (_, script, code) => {
  const { failure, sink } = await counted("anthropic", script);
  expect(failure).toMatchObject({ reason: { code } });
  expect(sink.status).toBeNull();
});
