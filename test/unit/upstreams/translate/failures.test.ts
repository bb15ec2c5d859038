import { expect, test } from "vitest";
import { anthropicError, anthropicWire } from "../../../fakes/dialects/anthropic-wire.ts";
import { apiKeyInvalid, googleError, googleWire, retryInfo } from "../../../fakes/dialects/google-wire.ts";
import {
  answers,
  breaksAfter,
  type ProviderScript,
  plays,
  providerServer,
  stallsAfter,
} from "../../../fakes/dialects/server.ts";
import { RecordingSink } from "../../../support/calls.ts";
import { ask, type DialectName, deltasOf } from "../../../support/translated.ts";

const anthropicAnswer = (status: number, type: string, message: string, headers = {}): ProviderScript =>
  answers(status, anthropicError(type, message), headers);
const googleAnswer = (code: number, status: string, message: string, details: readonly object[] = []): ProviderScript =>
  answers(code, googleError(code, status, message, details));

test.each<[DialectName, string, ProviderScript, string, string]>([
  [
    "anthropic",
    "a request that it cannot read",
    anthropicAnswer(400, "invalid_request_error", "messages.0: all messages must have non-empty content"),
    ...(["invalid_request", "never"] as const),
  ],
  [
    "anthropic",
    "a key that it rejects",
    anthropicAnswer(401, "authentication_error", "invalid x-api-key"),
    ...(["provider_rejected_key", "elsewhere"] as const),
  ],
  [
    "anthropic",
    "an account without credit",
    anthropicAnswer(400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API."),
    ...(["provider_unavailable", "elsewhere"] as const),
  ],
  [
    "anthropic",
    "a model that it does not have",
    anthropicAnswer(404, "not_found_error", "model: claude-none"),
    ...(["provider_error", "elsewhere"] as const),
  ],
  ["anthropic", "overload", anthropicAnswer(529, "overloaded_error", "Overloaded"), "provider_busy", "elsewhere"],
  [
    "anthropic",
    "a failure",
    anthropicAnswer(500, "api_error", "Internal server error"),
    "provider_unavailable",
    "elsewhere",
  ],
  ["anthropic", "overload in place of the answer", plays(anthropicWire.overloadedAtOnce), "provider_busy", "elsewhere"],
  [
    "anthropic",
    "an error with the status of an answer",
    answers(200, anthropicError("overloaded_error", "Overloaded")),
    ...(["provider_busy", "elsewhere"] as const),
  ],
  [
    "anthropic",
    "events that are none",
    answers(200, "data: {bad}\n\n", { "content-type": "text/event-stream" }),
    ...(["provider_error", "once"] as const),
  ],
  ["anthropic", "a status that there is not", answers(999, ""), "provider_error", "once"],
  [
    "google",
    "bytes that are not compressed",
    answers(200, "no gzip", { "content-type": "text/event-stream", "content-encoding": "gzip" }),
    ...(["provider_unavailable", "elsewhere"] as const),
  ],
  ["anthropic", "a web page", answers(200, "<html>", { "content-type": "text/html" }), "provider_error", "once"],
  ["anthropic", "a redirect", answers(302, "", { location: "https://elsewhere.example/" }), "provider_error", "once"],
  ["anthropic", "an event that is not JSON", plays(anthropicWire.notJson), "provider_error", "once"],
  ["anthropic", "half an event", plays(anthropicWire.halfEvent), "provider_unavailable", "elsewhere"],
  ["anthropic", "an end before the end", plays(anthropicWire.cutOff), "provider_unavailable", "elsewhere"],
  ["anthropic", "a connection that breaks", breaksAfter(anthropicWire.cutOff), "provider_unavailable", "elsewhere"],
  ["anthropic", "no event at all", plays(""), "provider_unavailable", "elsewhere"],
  ["google", "a request that it cannot read", googleAnswer(400, "INVALID_ARGUMENT", "bad"), "invalid_request", "never"],
  [
    "google",
    "a key that it rejects",
    googleAnswer(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", [apiKeyInvalid]),
    ...(["provider_rejected_key", "elsewhere"] as const),
  ],
  [
    "google",
    "a region that it does not serve",
    googleAnswer(400, "FAILED_PRECONDITION", "User location is not supported for the API use."),
    ...(["provider_unavailable", "elsewhere"] as const),
  ],
  [
    "google",
    "overload",
    googleAnswer(503, "UNAVAILABLE", "The model is overloaded."),
    "provider_unavailable",
    "elsewhere",
  ],
  [
    "google",
    "an error with the status of an answer",
    answers(200, `[${googleError(429, "RESOURCE_EXHAUSTED", "Quota exceeded")}]`),
    ...(["provider_busy", "elsewhere"] as const),
  ],
  ["google", "half an event", plays(googleWire.halfEvent), "provider_unavailable", "elsewhere"],
  ["google", "an end before the end", plays(googleWire.cutOff), "provider_unavailable", "elsewhere"],
  ["google", "an error within the stream", plays(googleWire.unavailableWithin), "provider_unavailable", "elsewhere"],
])("%s: %s", async (dialect, _, script, code, retry) => {
  // In one piece, so that nothing of an answer has come.
  const { failure, sink } = await ask(dialect, script, {}, { streamed: false });
  expect([failure?.reason.code, failure?.retry, sink.status]).toEqual([code, retry, null]);
  expect(failure?.reason.message).toContain('"cloud"');
});

test("what the provider says is passed on, but never our key", async () => {
  const script = anthropicAnswer(401, "authentication_error", "invalid x-api-key: secret-key");
  const { failure } = await ask("anthropic", script);
  expect(failure?.reason.message).toContain("invalid x-api-key: …");
});

test.each<[DialectName, ProviderScript, number]>([
  ["anthropic", anthropicAnswer(429, "rate_limit_error", "Too many", { "retry-after": "17" }), 17],
  ["google", googleAnswer(429, "RESOURCE_EXHAUSTED", "Quota exceeded", [retryInfo("34.4s")]), 35],
])("%s: a limit says when to come back", async (dialect, script, seconds) => {
  const { failure } = await ask(dialect, script);
  expect([failure?.reason.code, failure?.reason.status, failure?.reason.retryAfterS]).toEqual([
    "provider_busy",
    429,
    seconds,
  ]);
});

test.each<[DialectName, ProviderScript]>([
  ["anthropic", anthropicAnswer(400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum")],
  [
    "google",
    googleAnswer(
      400,
      "INVALID_ARGUMENT",
      "The input token count (210000) exceeds the maximum number of tokens allowed (200000).",
    ),
  ],
])("%s: a prompt that is too long is counted", async (dialect, script) => {
  const { failure } = await ask(dialect, script);
  expect(failure?.reason).toMatchObject({
    code: "context_length_exceeded",
    param: "messages",
    counts: { n_prompt_tokens: 210_000, n_ctx: 200_000 },
  });
});

test("an address at which nothing listens", async () => {
  const server = await providerServer(plays(""));
  await server[Symbol.asyncDispose]();
  const { failure } = await ask("anthropic", plays(""), {}, { provider: { baseUrl: server.url } });
  expect([failure?.reason.code, failure?.retry]).toEqual(["provider_unavailable", "elsewhere"]);
  expect(failure?.reason.message).toContain("nothing listens at that address");
});

test("a stream that falls silent ends after the provider's time-out", async () => {
  const { failure, events } = await ask(
    "anthropic",
    stallsAfter(anthropicWire.cutOff),
    {},
    { provider: { silenceTimeoutMs: 400 } },
  );
  expect(failure?.reason.code).toBe("provider_timeout");
  expect(deltasOf(events)).toEqual([{ role: "assistant", content: "" }, { content: "Rhine" }]);
});

test("a provider that does not answer at all does not hold a request either", async () => {
  const { failure } = await ask("google", () => {}, {}, { provider: { connectTimeoutMs: 20, silenceTimeoutMs: 20 } });
  expect(failure?.reason.code).toBe("provider_timeout");
});

test("an overload within the answer ends the stream between two events", async () => {
  const { failure, events, sink } = await ask("anthropic", plays(anthropicWire.overloadedWithin));
  expect([failure?.reason.code, failure?.betweenEvents, sink.ending]).toEqual(["provider_busy", true, null]);
  expect(deltasOf(events)).toEqual([{ role: "assistant", content: "" }, { content: "Rhine" }]);
});

test("an event without end does not fill the memory", async () => {
  const endless: ProviderScript = (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    const piece = Buffer.alloc(2 ** 20, "x");
    const more = (): void => {
      while (!response.destroyed && response.write(piece));
      if (!response.destroyed) response.once("drain", more);
    };
    response.write("data: ", more);
  };
  const { failure } = await ask("google", endless, {}, { sink: new RecordingSink() });
  expect(failure?.reason.message).toContain("an event of more than 16 MiB");
});
