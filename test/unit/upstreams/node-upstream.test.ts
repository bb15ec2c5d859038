import { expect, test } from "vitest";
import { Cancellation } from "../../../src/core/cancellation.ts";
import { AssistantError } from "../../../src/core/errors.ts";
import { CallerGone, SendFailure } from "../../../src/core/upstream.ts";
import { NodeUpstream } from "../../../src/upstreams/node/node-upstream.ts";
import { chatCall, RecordingSink, sendingOf } from "../../support/calls.ts";
import { type ScriptedCall, ScriptedChannel, turn } from "../../support/scripted-channel.ts";

const INTERNAL = 13;
const UNAVAILABLE = 14;
const JSON_TYPE = "application/json; charset=utf-8";
const events = { "content-type": "text/event-stream", "x-assistant-instance": "theirs" };
const token = (text: string): string => `data: {"choices":[{"delta":{"content":"${text}"}}]}\n\n`;

function setUp(changes: Parameters<typeof chatCall>[0] = {}) {
  const channel = new ScriptedChannel();
  const ends: unknown[] = [];
  const firstBytes: number[] = [];
  const upstream = new NodeUpstream({
    node: "far",
    address: { host: "far.example", port: 50051 },
    nodeId: "node_1",
    channel,
    onFirstByte: (ms) => firstBytes.push(ms),
    onEnd: (failure) => ends.push(failure),
  });
  const sink = new RecordingSink();
  const cancellation = new Cancellation();
  const sending = sendingOf(chatCall({ cancellation, ...changes }));
  const answer = upstream.send(sending, sink);
  const failure = answer.then(
    () => null,
    (error: unknown) => error,
  );
  return {
    channel,
    upstream,
    sink,
    sending,
    cancellation,
    answer,
    failure,
    ends,
    firstBytes,
    call: channel.calls[0] as ScriptedCall,
  };
}

function endAfter(call: ScriptedCall, step: () => void): void {
  step();
  call.end();
}

const reasonOf = (failure: unknown): unknown[] =>
  failure instanceof SendFailure ? [failure.reason.code, failure.retry, failure.betweenEvents] : [failure];

test("a call goes out by the model's own name, with what the daemon there must know", async () => {
  const { call, upstream } = setUp({
    id: "r-1",
    hops: ["node_0"],
    priority: 70,
    deadlineAt: Date.now() + 5_000,
    body: { bytes: Buffer.from(""), json: { model: "an-alias", messages: [] } },
  });
  expect(call.request).toMatchObject({ path: "/v1/chat/completions", method: "POST" });
  expect(JSON.parse(call.request.body.toString())).toEqual({ model: "river", messages: [] });
  expect(call.request.headers).toMatchObject({
    "content-type": "application/json",
    "x-request-id": "r-1",
    "x-assistant-hops": "node_0, node_1",
    "x-assistant-priority": "70",
  });
  expect(Number(call.request.headers["x-assistant-timeout-ms"])).toBeGreaterThan(4_000);
  expect(upstream.inFlight).toBe(1);
});

test.each([
  ["llamacpp.tokenize", "POST", "/tokenize"],
  ["llamacpp.tokens", "POST", "/v1/chat/completions/input_tokens"],
  ["llamacpp.props", "GET", "/props?model=river"],
] as const)("%s goes where the daemon there answers it", (wire, method, path) => {
  const { call } = setUp({ wire, body: { bytes: Buffer.from(""), json: { model: "river" } } });
  expect(call.request).toMatchObject({ path, method });
  expect(call.request.headers["content-type"]).toBe(method === "GET" ? undefined : "application/json");
});

test("a whole answer arrives with its length, its facts and our headers, and the call is left to end by itself", async () => {
  const { call, answer, sink, sending, ends, firstBytes, upstream } = setUp();
  const body = '{"usage":{"prompt_tokens":7,"completion_tokens":3}}';
  call.head(200, { "content-type": JSON_TYPE, "content-length": String(body.length) });
  call.body(body);
  expect(await answer).toMatchObject({ promptTokens: 7, completionTokens: 3 });
  expect([sink.status, sink.text, sink.ending]).toEqual([200, body, "end"]);
  expect(sink.headers).toEqual(["Content-Type", JSON_TYPE, "x-test", "1"]);
  expect([sending.firstTokens, ends, firstBytes.length, upstream.inFlight]).toEqual([[true], [null], 1, 0]);
  expect(call.cancelled()).toBe(false);
  call.end();
  await turn();
  expect(call.cancelled()).toBe(false);
});

test("a stream arrives event by event, and is over when the call ends", async () => {
  const { call, answer, sink, sending, upstream } = setUp({ streamed: true });
  call.head(200, events);
  call.body(": waiting for the model to load\n\n");
  await turn();
  expect([sink.text, sending.firstTokens]).toEqual([": waiting for the model to load\n\n", []]);
  call.body(token("a"));
  await turn();
  expect(sending.firstTokens).toEqual([false]);
  call.body("data: [DONE]\n\n");
  call.end();
  await answer;
  expect([sink.ending, upstream.inFlight, call.cancelled()]).toEqual(["end", 0, false]);
  expect(sink.headers).not.toContain("theirs");
});

test.each([
  ["before the head", () => {}, ["node_unavailable", "elsewhere", true]],
  [
    "after a comment alone",
    (call: ScriptedCall) => call.both(200, events, ": waiting\n\n"),
    ["node_unavailable", "elsewhere", true],
  ],
  [
    "between two events",
    (call: ScriptedCall) => call.both(200, events, token("a")),
    ["node_unavailable", "elsewhere", true],
  ],
  [
    "within an event",
    (call: ScriptedCall) => call.both(200, events, 'data: {"cho'),
    ["node_unavailable", "never", false],
  ],
] as const)("a machine that dies %s", async (_, before, expected) => {
  const { call, failure, sink, ends, upstream } = setUp({ streamed: true });
  before(call);
  await turn();
  call.fail(UNAVAILABLE, "Connection dropped");
  expect(reasonOf(await failure)).toEqual(expected);
  expect([sink.ending, ends.length, upstream.inFlight]).toEqual([null, 1, 0]);
  expect(ends[0]).toMatchObject({ code: UNAVAILABLE });
});

test.each([
  ["ends without an answer", (call: ScriptedCall) => call.end(), "engine_error"],
  ["sends a head alone", (call: ScriptedCall) => endAfter(call, () => call.head(200, events)), "engine_lost"],
  [
    "sends a body without a head",
    (call: ScriptedCall) => endAfter(call, () => call.body("data: x\n\n")),
    "engine_error",
  ],
  [
    "sends something that is neither JSON nor events",
    (call: ScriptedCall) => call.head(200, { "content-type": "text/html" }),
    "engine_error",
  ],
  [
    "sends a type that no header can hold",
    (call: ScriptedCall) => call.head(200, { "content-type": "application/json; x=✓" }),
    "engine_error",
  ],
  ["fails inside", (call: ScriptedCall) => call.fail(INTERNAL, "broken"), "engine_error"],
] as const)("a machine that %s has not answered: another may", async (_, script, code) => {
  const { call, failure, sink, upstream } = setUp();
  script(call);
  expect(reasonOf(await failure).slice(0, 2)).toEqual([code, "elsewhere"]);
  expect([sink.status, sink.ending, upstream.inFlight]).toEqual([null, null, 0]);
});

test("an answer that is shorter than stated is broken, not complete", async () => {
  const { call, failure, sink } = setUp();
  call.both(200, { "content-type": JSON_TYPE, "content-length": "100" }, '{"n":1}');
  call.end();
  expect(reasonOf(await failure)).toEqual(["engine_lost", "never", false]);
  expect(sink.ending).toBeNull();
});

test("what comes after the stated length, or after the end of the answer, reaches nobody", async () => {
  const { call, answer, sink, ends } = setUp();
  call.both(200, { "content-type": JSON_TYPE, "content-length": "7" }, '{"n":1}{"n":2}');
  await answer;
  call.body('{"n":3}');
  call.fail(INTERNAL, "too late");
  await turn();
  expect([sink.text, sink.ending, ends]).toEqual(['{"n":1}', "end", [null]]);
});

test("an error answer keeps its code, and says whether the call may go elsewhere", async () => {
  const refusal = (status: number, code: string) => {
    const { call, failure } = setUp();
    const body = JSON.stringify({ error: { code, message: "No.", param: "x", type: "t" } });
    call.both(status, { "content-type": JSON_TYPE, "content-length": String(body.length) }, body);
    return failure;
  };
  expect(reasonOf(await refusal(400, "invalid_request")).slice(0, 2)).toEqual(["invalid_request", "never"]);
  expect(reasonOf(await refusal(404, "model_not_found")).slice(0, 2)).toEqual(["model_not_found", "elsewhere"]);
});

test("a caller who disconnects cancels the call, before and during the answer, and nothing counts as a failure", async () => {
  for (const begun of [false, true]) {
    const { call, cancellation, failure, ends, sink, upstream } = setUp({ streamed: true });
    if (begun) call.both(200, events, token("a"));
    await turn();
    cancellation.cancel(new CallerGone());
    expect(await failure).toBeInstanceOf(CallerGone);
    expect([call.cancelled(), ends, upstream.inFlight, cancellation.onCancel]).toEqual([true, [null], 0, null]);
    call.body(token("b"));
    await turn();
    expect(sink.parts.length).toBe(begun ? 1 : 0);
  }
});

test("a target that is lost under a call cancels it", async () => {
  const { call, sending, failure } = setUp({ streamed: true });
  call.both(200, events, token("a"));
  await turn();
  sending.lost.cancel(new AssistantError("engine_stopped", "It was taken out of the configuration."));
  expect(reasonOf(await failure)).toEqual(["engine_stopped", "elsewhere", true]);
  expect([call.cancelled(), sending.lost.onCancel]).toEqual([true, null]);
});

test("a slow sink pauses the call, and lets it go on", async () => {
  const { call, sink, answer } = setUp({ streamed: true });
  sink.isSlow = true;
  call.both(200, events, token("a"));
  for (let n = 0; n < 100; n++) call.body(token("b"));
  await turn();
  expect([sink.parts.length, call.paused()]).toEqual([1, true]);
  sink.isSlow = false;
  for (const resume of sink.waiters.splice(0)) resume();
  call.end();
  await answer;
  expect([sink.parts.length, sink.waiters.length]).toEqual([101, 0]);
});
test("a channel that is closed at the moment of sending fails the call as a machine that is away does", async () => {
  const { channel, upstream, ends } = setUp();
  channel.refuse = new Error("Channel has been shut down");
  const sending = sendingOf(chatCall());
  const failure = await upstream.send(sending, new RecordingSink()).catch((error: unknown) => error);
  expect(reasonOf(failure)).toEqual(["node_unavailable", "elsewhere", true]);
  expect([sending.call.cancellation.onCancel, sending.lost.onCancel]).toEqual([null, null]);
  expect([upstream.inFlight, ends]).toEqual([1, []]);
});
