import { Server, ServerCredentials, type ServiceDefinition, type UntypedServiceImplementation } from "@grpc/grpc-js";
import { afterEach, expect, test } from "vitest";
import { loadAssistantService } from "../../../src/api/assistant-service.ts";
import { loadInferenceService } from "../../../src/api/inference-service.ts";
import { SendFailure } from "../../../src/core/upstream.ts";
import { KserveGrpcUpstream } from "../../../src/upstreams/kserve/grpc-upstream.ts";
import { openChannel } from "../../../src/upstreams/node/channel.ts";
import { NodeUpstream } from "../../../src/upstreams/node/node-upstream.ts";
import { chatCall, RecordingSink, sendingOf } from "../../support/calls.ts";

const MiB = 2 ** 20;
let server: Server | null = null;
afterEach(() => server?.forceShutdown());

/** The port of a real gRPC server. */
async function serve(
  service: ServiceDefinition,
  handlers: UntypedServiceImplementation,
  options = {},
): Promise<number> {
  const running = new Server({ "grpc.max_receive_message_length": 8 * MiB, ...options });
  running.addService(service, handlers);
  server = running;
  return await new Promise<number>((resolve, reject) =>
    running.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(port) : reject(error),
    ),
  );
}

const failureOf = async (sent: Promise<unknown>): Promise<SendFailure> => {
  const failure = await sent.catch((error: unknown) => error);
  if (!(failure instanceof SendFailure)) throw new Error("expected a failure", { cause: failure });
  return failure;
};

interface ForwardCall {
  write(message: object): boolean;
  end(): void;
}

async function askNode(answer: (call: ForwardCall) => void, length = 0): Promise<[RecordingSink, Promise<unknown>]> {
  const { service } = await loadAssistantService();
  const port = await serve(service, { forwardRequestStream: answer, forwardRequest() {}, getInfo() {} } as never);
  const channel = await openChannel({ address: { host: "127.0.0.1", port }, apiKey: null });
  const upstream = new NodeUpstream({
    ...{ node: "far", address: { host: "127.0.0.1", port }, nodeId: "node_1", channel },
    ...{ onFirstByte: () => {}, onEnd: () => {} },
  });
  const sink = new RecordingSink();
  const json = { model: "river", messages: [], padding: "a".repeat(length) };
  const call = chatCall({ streamed: false, body: { json, bytes: Buffer.from(JSON.stringify(json)) } });
  return [sink, upstream.send(sendingOf(call), sink).finally(() => channel.close())];
}

const HEAD = { status: 200, headers: { "content-type": "application/json" } };

test("a message of another machine that is longer than any real one is an error", async () => {
  const [sink, sent] = await askNode((call) => {
    call.write({ ...HEAD, body: Buffer.alloc(65 * MiB, " ") });
    call.end();
  });
  const { reason, retry } = await failureOf(sent);
  expect(reason.code).toBe("engine_error");
  expect(reason.message).toContain('The remote server "far" sent a message of more than 64 MiB');
  expect([retry, sink.status]).toEqual(["elsewhere", null]);
});

test("a long answer of another machine comes in several messages", async () => {
  const [sink, sent] = await askNode((call) => {
    call.write(HEAD);
    for (let part = 0; part < 3; part++) call.write({ body: Buffer.alloc(30 * MiB, " ") });
    call.end();
  });
  await sent;
  expect(sink.text.length).toBe(90 * MiB);
});

test("a request that is too long for another machine is not sent again, and the limit is named", async () => {
  const [, sent] = await askNode(() => {}, 9 * MiB);
  const { reason, retry } = await failureOf(sent);
  expect([reason.code, reason.status, retry]).toEqual(["body_too_large", 413, "never"]);
  expect(reason.message).toContain('The remote server "far" accepts requests of at most 8388608 bytes');
});

async function askWorker(answer: object, { streamed = false, length = 1 } = {}): Promise<SendFailure> {
  const { service } = await loadInferenceService();
  const port = await serve(service, {
    modelInfer: (_: unknown, done: (error: null, answer: object) => void) => done(null, answer),
    modelStreamInfer: (call: ForwardCall & { on(event: string, seen: () => void): void }) => {
      call.on("data", () => {
        call.write({ inferResponse: answer });
        call.end();
      });
    },
  } as UntypedServiceImplementation);
  const upstream = new KserveGrpcUpstream(`grpc://127.0.0.1:${port}`, (name) => ({ name, version: "" }));
  const input = { name: "text", datatype: "BYTES", shape: [1], data: ["a".repeat(length)] };
  const json = { inputs: [input] };
  const call = chatCall({
    ...{ operation: "infer", wire: "kserve.infer", streamed },
    body: { json, bytes: Buffer.from(JSON.stringify(json)) },
  });
  return await failureOf(upstream.send(sendingOf(call), new RecordingSink()).finally(() => upstream.close()));
}

const tensor = (contents: object) => ({ outputs: [{ name: "out", datatype: "FP32", shape: [1], contents }] });
const long = { outputs: [{ name: "out", datatype: "BYTES", shape: [1] }], rawOutputContents: [Buffer.alloc(65 * MiB)] };
const numerous = tensor({ fp32Contents: Array(1_100_000).fill(0) });

test.each([
  ["one that is too long", long, "sent a message of more than 64 MiB"],
  ["one with millions of numbers", numerous, "more than 4194304 bytes of numbers; send large tensors in raw_output"],
])("a worker's answer over gRPC is bounded: %s", async (_, answer, message) => {
  for (const streamed of [false, true]) {
    const { reason } = await askWorker(answer, { streamed });
    expect(reason.code).toBe("worker_error");
    expect(reason.message).toContain(message);
    server?.forceShutdown();
  }
});

test("a request that is too long for a worker is the client's error, which names the limit", async () => {
  const { reason, retry } = await askWorker({}, { length: 9 * MiB });
  expect([reason.code, retry]).toEqual(["body_too_large", "never"]);
  expect(reason.message).toContain("accepts requests of at most 8388608 bytes");
});
