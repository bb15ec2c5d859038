import { EventEmitter } from "node:events";
import type { ServerUnaryCall, ServerWritableStream, ServiceError } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import {
  type ForwardRequest,
  type ForwardResponse,
  loadAssistantService,
  type Sent,
} from "../../../src/api/assistant-service.ts";
import { AssistantError } from "../../../src/core/errors.ts";
import { bearerDoor } from "../../../src/gateway/front/error-body.ts";
import { GrpcSink, streamReply, wholeReply } from "../../../src/gateway/grpc/sink.ts";

const { grpc } = await loadAssistantService();
type StreamCall = ServerWritableStream<ForwardRequest, Sent<ForwardResponse>>;

/** A caller as the library shows it: writable until it is slow. */
class FakeCall extends EventEmitter {
  readonly written: Sent<ForwardResponse>[] = [];
  readonly errors: ServiceError[] = [];
  cancelled = false;
  isSlow = false;
  ends = 0;
  constructor() {
    super();
    this.on("error", (error: ServiceError) => this.errors.push(error));
  }
  write(message: Sent<ForwardResponse>): boolean {
    this.written.push(message);
    return !this.isSlow;
  }
  end(): void {
    this.ends++;
  }
}

function streamed(isStream = true) {
  const call = new FakeCall();
  const reply = streamReply(grpc, call as unknown as StreamCall);
  return { call, sink: new GrpcSink({ reply, door: bearerDoor, requestId: "r-1", streamed: isStream }) };
}

function whole() {
  const answers: (Sent<ForwardResponse> | { readonly failed: ServiceError })[] = [];
  const call = { cancelled: false };
  const reply = wholeReply(grpc, call as ServerUnaryCall<ForwardRequest, Sent<ForwardResponse>>, (error, answer) =>
    answers.push(error === null ? (answer ?? {}) : { failed: error as ServiceError }),
  );
  return { answers, call, sink: new GrpcSink({ reply, door: bearerDoor, requestId: "r-1", streamed: false }) };
}

const refusal = new AssistantError("invalid_request", "No.", { param: "x" });
const busy = new AssistantError("queue_full", "Full.", { retryAfterS: 3 });

test("an answer goes out as a head with headers in lower case, then its bytes, then the end", () => {
  const { call, sink } = streamed();
  sink.head(200, ["Content-Type", "text/event-stream", "x-assistant-model", "river"]);
  sink.head(500, []);
  expect([sink.chunk(Buffer.from("a")), sink.chunk(Buffer.alloc(0))]).toEqual([true, true]);
  sink.end(Buffer.from("b"));
  expect(call.written).toEqual([
    {
      status: 200,
      headers: { "x-request-id": "r-1", "content-type": "text/event-stream", "x-assistant-model": "river" },
    },
    { body: Buffer.from("a") },
    { body: Buffer.from("b") },
  ]);
  expect([call.ends, sink.status]).toEqual([1, 200]);
});

test("a caller who does not read stops the answer until it has read", () => {
  const { call, sink } = streamed();
  call.isSlow = true;
  sink.head(200, []);
  expect(sink.chunk(Buffer.from("a"))).toBe(false);
  let resumed = 0;
  sink.onDrain(() => resumed++);
  call.emit("drain");
  call.emit("drain");
  expect([resumed, call.listenerCount("drain")]).toEqual([1, 0]);
});

test("a long wait shows in a head and in comments", () => {
  const { call, sink } = streamed();
  sink.waiting?.({ reason: "queued", place: 2, expectedStartMs: 1_500 }, ["x-assistant-queue-place", "2"]);
  sink.waiting?.({ reason: "loading", place: 1, expectedStartMs: null }, []);
  expect(call.written.map(({ status, body }) => status ?? body?.toString())).toEqual([
    200,
    ": waiting in the queue, place 2, about 2 s to go\n\n",
    ": waiting for the model to load\n\n",
  ]);
  expect(call.written[0]?.headers).toMatchObject({
    "x-request-id": "r-1",
    "content-type": "text/event-stream",
    "x-assistant-queue-place": "2",
  });
  expect(streamed(false).sink.waiting).toBeUndefined();
});

test("what a model refuses is an answer, what the daemon refuses is a status with its code and its time", () => {
  const answered = streamed();
  answered.sink.fail(refusal, ["x-assistant-model", "river"], true);
  expect(answered.call.written[0]).toMatchObject({
    status: 400,
    headers: { "x-request-id": "r-1", "x-assistant-model": "river" },
  });
  expect(JSON.parse(String(answered.call.written[1]?.body))).toMatchObject({
    error: { code: "invalid_request", param: "x", request_id: "r-1" },
  });
  expect([answered.call.ends, answered.call.errors, answered.sink.status]).toEqual([1, [], 400]);

  const failed = streamed();
  failed.sink.fail(busy, [], true);
  expect([failed.call.written, failed.call.ends, failed.sink.status]).toEqual([[], 0, 429]);
  expect(failed.call.errors[0]).toMatchObject({ code: grpc.status.RESOURCE_EXHAUSTED, details: "Full." });
  expect(failed.call.errors[0]?.metadata.get("x-assistant-code")).toEqual(["queue_full"]);
  expect(failed.call.errors[0]?.metadata.get("retry-after")).toEqual(["3"]);
});

test("a stream that breaks between events ends with one more, within an event with a status", () => {
  const between = streamed();
  between.sink.head(200, []);
  between.sink.fail(busy, [], true);
  expect(String(between.call.written[1]?.body)).toMatch(/^data: \{"error":.*"queue_full".*\}\n\n$/);
  expect([between.call.ends, between.call.errors]).toEqual([1, []]);

  const within = streamed();
  within.sink.head(200, []);
  within.sink.fail(busy, [], false);
  expect([within.call.ends, within.call.errors.length]).toEqual([0, 1]);
  expect(within.call.errors[0]?.metadata.get("x-assistant-code")).toEqual(["engine_lost"]);
});

test("a caller who has disconnected is sent no status", () => {
  const stream = streamed();
  stream.call.cancelled = true;
  stream.sink.fail(busy, [], true);
  stream.sink.abort();
  expect([stream.call.errors, stream.call.ends, stream.call.written]).toEqual([[], 0, []]);
  const one = whole();
  one.call.cancelled = true;
  one.sink.fail(busy, [], true);
  one.sink.abort();
  expect(one.answers).toEqual([]);
});

test("a call for one message gets the whole answer in it, or a status", () => {
  const good = whole();
  good.sink.head(200, ["Content-Type", "application/json"], 2);
  good.sink.chunk(Buffer.from("{"));
  good.sink.end(Buffer.from("}"));
  const headers = { "x-request-id": "r-1", "content-type": "application/json", "content-length": "2" };
  expect(good.answers).toEqual([{ status: 200, headers, body: Buffer.from("{}") }]);

  const broken = whole();
  broken.sink.head(200, [], 2);
  broken.sink.chunk(Buffer.from("{"));
  broken.sink.fail(busy, [], false);
  expect(broken.answers).toMatchObject([
    { failed: { code: grpc.status.UNAVAILABLE, details: "The answer broke off." } },
  ]);
});
