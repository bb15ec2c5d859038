import { expect, test } from "vitest";
import { SendFailure } from "../../../../src/core/upstream.ts";
import { overflows, providerServer } from "../../../fakes/dialects/server.ts";
import { chatCall, RecordingSink, sendingOf } from "../../../support/calls.ts";
import { connected, type DialectName, HELLO } from "../../../support/translated.ts";

const calls = {
  chat: { operation: "chat", wire: "openai.chat", streamed: true, json: { messages: HELLO } },
  "count of tokens": { operation: "chat", wire: "llamacpp.tokens", streamed: false, json: { messages: HELLO } },
  embedding: { operation: "embedding", wire: "openai.embedding", streamed: false, json: { input: "Rhine" } },
} as const;

async function failureOf(dialect: DialectName, name: keyof typeof calls, status: number): Promise<SendFailure> {
  await using server = await providerServer(overflows(status));
  using connection = connected(dialect, server.url);
  const { json: fields, ...call } = calls[name];
  const json = { model: "river", ...fields };
  const sending = sendingOf(chatCall({ ...call, body: { json, bytes: Buffer.from(JSON.stringify(json)) } }));
  const failure = await connection.upstream.send(sending, new RecordingSink()).catch((error: unknown) => error);
  await server.brokenOff;
  if (!(failure instanceof SendFailure)) throw new Error("expected a failure", { cause: failure });
  return failure;
}

test.each([
  ["anthropic", "chat"],
  ["anthropic", "count of tokens"],
  ["google", "chat"],
  ["google", "count of tokens"],
  ["google", "embedding"],
] as const)("an error of %s that does not end is not read to its end: %s", async (dialect, name) => {
  const failure = await failureOf(dialect, name, 500);
  expect(failure).toMatchObject({ reason: { code: "provider_unavailable" } });
});

test.each([
  ["anthropic", "count of tokens"],
  ["google", "count of tokens"],
  ["google", "embedding"],
] as const)("an answer of %s that does not end is an error: %s", async (dialect, name) => {
  const { reason } = await failureOf(dialect, name, 200);
  expect(reason).toMatchObject({ code: "provider_error" });
  expect(reason.message).toContain("sent an answer of more than 64 MiB");
});
