import fc from "fast-check";
import { expect, test } from "vitest";
import { Cancellation } from "../../../../src/core/cancellation.ts";
import { AssistantError } from "../../../../src/core/errors.ts";
import { CallerGone, SendFailure } from "../../../../src/core/upstream.ts";
import { anthropicWire } from "../../../fakes/dialects/anthropic-wire.ts";
import { googleWire } from "../../../fakes/dialects/google-wire.ts";
import { plays, providerServer, stallsAfter } from "../../../fakes/dialects/server.ts";
import { chatCall, RecordingSink, sendingOf } from "../../../support/calls.ts";
import { ask, chatSending, connected, type DialectName, eventsOf, WEATHER } from "../../../support/translated.ts";

/** A sink that says when something has come. */
class WatchedSink extends RecordingSink {
  readonly #arrived = Promise.withResolvers<void>();
  readonly arrived = this.#arrived.promise;

  override chunk(payload: Buffer): boolean {
    this.#arrived.resolve();
    return super.chunk(payload);
  }
}

test("a caller who disconnects ends the work at the provider", async () => {
  await using server = await providerServer(stallsAfter(anthropicWire.cutOff));
  using connection = connected("anthropic", server.url);
  const cancellation = new Cancellation();
  const sink = new WatchedSink();
  const call = chatCall({ streamed: true, cancellation });
  const over = connection.upstream.send(sendingOf(call), sink);
  await sink.arrived;
  cancellation.cancel(new CallerGone());
  await expect(over).rejects.toThrow(CallerGone);
  await server.brokenOff;
});

test("a caller who disconnects before the provider answers ends the work as well", async () => {
  const { promise: asked, resolve } = Promise.withResolvers<void>();
  await using server = await providerServer(() => resolve());
  using connection = connected("google", server.url);
  const cancellation = new Cancellation();
  const over = connection.upstream.send(sendingOf(chatCall({ cancellation })), new RecordingSink());
  await asked;
  cancellation.cancel(new CallerGone());
  await expect(over).rejects.toThrow(CallerGone);
  await server.brokenOff;
});

test("a caller who has disconnected already costs no request", async () => {
  await using server = await providerServer(plays(anthropicWire.text));
  using connection = connected("anthropic", server.url);
  const cancellation = new Cancellation();
  cancellation.cancel(new CallerGone());
  const over = connection.upstream.send(sendingOf(chatCall({ cancellation })), new RecordingSink());
  await expect(over).rejects.toThrow(CallerGone);
  expect(server.requests).toEqual([]);
});

test("a provider that is taken out of use under a call ends it", async () => {
  await using server = await providerServer(stallsAfter(googleWire.cutOff));
  using connection = connected("google", server.url);
  const lost = new Cancellation();
  const sink = new WatchedSink();
  const over = connection.upstream.send(chatSending({}, { sending: { lost } }), sink);
  await sink.arrived;
  lost.cancel(new AssistantError("engine_stopped", "The provider was removed."));
  await expect(over).rejects.toThrow(SendFailure);
  await server.brokenOff;
});

test("nothing more is written to a sink that is full, until it has drained", async () => {
  await using server = await providerServer(plays(anthropicWire.text));
  using connection = connected("anthropic", server.url);
  const sink = new WatchedSink();
  sink.isSlow = true;
  const over = connection.upstream.send(chatSending({}), sink);
  for (let written = 1; written <= 6; written++) {
    await expect.poll(() => sink.waiters.length).toBe(1);
    expect(sink.parts).toHaveLength(written);
    sink.waiters.shift()?.();
  }
  await over;
  expect(eventsOf(sink.text).at(-1)).toBe("[DONE]");
});

test("the first token is reported once, with the first part of the answer", async () => {
  const sending = chatSending({});
  await using server = await providerServer(plays(anthropicWire.text));
  using connection = connected("anthropic", server.url);
  const facts = await connection.upstream.send(sending, new RecordingSink());
  expect(sending.firstTokens).toEqual([false]);
  expect(facts).toEqual({
    promptTokens: 129,
    cachedTokens: 100,
    completionTokens: 15,
    promptMs: null,
    completionMs: null,
    finishReason: "stop",
  });
});

test("an answer that is complete does not wait for the end of the connection", async () => {
  const { sink, failure } = await ask("anthropic", stallsAfter(anthropicWire.text));
  expect([failure, sink.ending]).toEqual([null, "end"]);
});

const wires: readonly [DialectName, string, string][] = [
  ["anthropic", "text", anthropicWire.text],
  ["anthropic", "tools", anthropicWire.tools],
  ["google", "text", googleWire.text],
  ["google", "tools", googleWire.tools],
];

test.each(wires)("%s, %s: the same chunks come of any division of the bytes", async (dialect, _, wire) => {
  const bytes = Buffer.from(wire);
  const inPieces = async (cuts: readonly number[]): Promise<unknown[]> => {
    const places = [...new Set([0, ...cuts, bytes.length])].sort((a, b) => a - b);
    const pieces = places.slice(1).map((end, index) => new Uint8Array(bytes.subarray(places[index], end)));
    const body = ReadableStream.from(pieces) as ReadableStream<Uint8Array<ArrayBuffer>>;
    const fetch = async (): Promise<Response> =>
      new Response(body, { headers: { "content-type": "text/event-stream" } });
    using connection = connected(dialect, "http://127.0.0.1:1", { fetch });
    const sink = new RecordingSink();
    await connection.upstream.send(chatSending({ tools: [WEATHER] }), sink);
    return eventsOf(sink.text.replaceAll(/"created":\d+/g, '"created":0'));
  };
  const whole = await inPieces([]);
  expect(whole.length).toBeGreaterThan(5);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat({ max: bytes.length }), { maxLength: 40 }), async (cuts) => {
      expect(await inPieces(cuts)).toEqual(whole);
    }),
    { numRuns: 30 },
  );
  expect(await inPieces(Array.from(bytes.keys()))).toEqual(whole);
});
