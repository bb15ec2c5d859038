import { connect, createServer, type Server } from "node:net";
import { status as codes, credentials, loadPackageDefinition, type ServiceError } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ForwardResponse } from "../../src/api/assistant-service.ts";
import { eventually, installAssistant } from "../support/assistant.ts";
import { chatBody, grpcClient, keyed, postChat, startNode, type TestClient, type TestNode } from "../support/nodes.ts";

let node: TestNode;
let client: TestClient;
/** Has one slot. */
let small: TestNode;
let clientOfSmall: TestClient;

beforeAll(async () => {
  node = await startNode({ models: { river: "slots = 2\n" } });
  small = await startNode({ models: { river: "slots = 1\n" } });
  client = await grpcClient(node.grpc);
  clientOfSmall = await grpcClient(small.grpc);
});
afterAll(async () => {
  client?.[Symbol.dispose]();
  clientOfSmall?.[Symbol.dispose]();
  await Promise.all([node?.[Symbol.asyncDispose](), small?.[Symbol.asyncDispose]()]);
});

const chat = (knobs: Parameters<typeof chatBody>[1] = {}, stream = false) => ({
  path: "/v1/chat/completions",
  method: "POST",
  body: Buffer.from(chatBody("river", knobs, stream)),
  headers: { "content-type": "application/json" },
});

const listens = (server: Server, port: number): Promise<boolean> =>
  new Promise((resolve) => {
    server.once("error", () => resolve(false)).listen(port, "127.0.0.1", () => resolve(true));
  });

const failure = async (promise: Promise<unknown>): Promise<ServiceError> => {
  try {
    await promise;
  } catch (error) {
    return error as ServiceError;
  }
  throw new Error("the call succeeded");
};

test("GetInfo tells version, models and paths", async () => {
  const info = await client.info();
  expect(info.version).toMatch(/^\d+\.\d+\.\d+/);
  expect(info.models).toEqual(["river"]);
  expect(info.endpoints).toContain("/v1/chat/completions");
  expect(info.nodeId).toMatch(/^node_/);
  expect(info.modelDetails[0]).toMatchObject({ name: "river", kind: "chat", slots: 2 });
});

test("ForwardRequest answers as HTTP does, with status, headers and body", async () => {
  const answer = await client.forward({ ...chat({ tokens: 3 }), headers: { "x-request-id": "mine-1" } });
  expect(answer.status).toBe(200);
  expect(answer.headers["x-request-id"]).toBe("mine-1");
  expect(answer.headers["x-assistant-model"]).toBe("river");
  const body = JSON.parse(answer.body.toString()) as { usage: { completion_tokens: number } };
  expect(body.usage.completion_tokens).toBe(3);
});

test("what a model or a route refuses is an answer with its HTTP status", async () => {
  const unknown = await client.forward({ ...chat(), body: Buffer.from(chatBody("nobody")) });
  expect(unknown.status).toBe(404);
  expect(JSON.parse(unknown.body.toString())).toMatchObject({ error: { code: "model_not_found" } });
  const broken = await client.forward({ ...chat(), body: Buffer.from("{") });
  expect(broken.status).toBe(400);
  expect((await client.forward({ path: "/v1/models", method: "GET" })).status).toBe(200);
});

test("only paths of the OpenAI-compatible API are taken", async () => {
  for (const path of [
    "/admin/status",
    "/v1/../admin/status",
    "//admin/status",
    "/v1/%2e%2e/admin\r\nx: y",
    "http://127.0.0.1/v1/models",
    "",
  ]) {
    const error = await failure(client.forward({ path, method: "GET" }));
    expect(error.code, path).toBe(codes.PERMISSION_DENIED);
  }
  // What a router makes of an escape stays within the API as well.
  expect((await client.forward({ path: "/v1/%2e%2e/admin/status", method: "GET" })).status).toBe(404);
});

test("a stream brings status and headers first, then each token as it comes", async () => {
  await client.forward(chat({ tokens: 1 }));
  const call = client.raw.ForwardRequestStream(chat({ tokens: 6, decodeDelayMs: 100 }, true), keyed());
  const messages: ForwardResponse[] = [];
  const times: number[] = [];
  for await (const message of call) {
    messages.push(message as ForwardResponse);
    times.push(performance.now());
  }
  const [head, ...parts] = messages;
  expect(head?.status).toBe(200);
  expect(head?.headers["content-type"]).toContain("text/event-stream");
  expect(head?.body.length).toBe(0);
  const text = Buffer.concat(parts.map(({ body }) => body)).toString();
  expect(text.trimEnd().endsWith("data: [DONE]")).toBe(true);
  // Six tokens, 100 ms apart, arrive over most of that time and not at its end.
  expect((times.at(-1) ?? 0) - (times[1] ?? 0)).toBeGreaterThan(300);
  expect(parts.length).toBeGreaterThanOrEqual(6);
});

test("a cancelled call stops the engine", async () => {
  await client.forward(chat({ tokens: 1 }));
  const before = await node.record();
  const call = client.raw.ForwardRequestStream(chat({ tokens: 2_000, decodeDelayMs: 10 }, true), keyed());
  const ended = new Promise((resolve) => call.once("error", resolve));
  await new Promise((resolve) => call.once("data", resolve));
  call.cancel();
  await ended;
  await eventually("the engine has stopped", async () => (await node.record()).aborted === before.aborted + 1, 5_000);
  expect((await node.record()).inFlight).toBe(0);
});

test("a deadline that passes ends the work", async () => {
  await client.forward(chat({ tokens: 1 }));
  const before = await node.record();
  const error = await failure(client.forward(chat({ tokens: 2_000, decodeDelayMs: 10 }), { deadlineMs: 400 }));
  expect(error.code).toBe(codes.DEADLINE_EXCEEDED);
  await eventually("the engine has stopped", async () => (await node.record()).aborted === before.aborted + 1, 5_000);
});

test("a request that waits is told of its deadline and never reaches the engine", async () => {
  const abort = new AbortController();
  const running = postChat(small.url, chatBody("river", { tokens: 5_000, decodeDelayMs: 10 }), {}, abort.signal).catch(
    () => null,
  );
  await eventually("the engine works", async () =>
    (await small.status()).instances.some(({ inFlight }) => inFlight === 1),
  );
  const { requests } = await small.record();
  const error = await failure(clientOfSmall.forward(chat(), { deadlineMs: 300 }));
  expect(error.code).toBe(codes.DEADLINE_EXCEEDED);
  await eventually("nobody waits", async () => (await small.status()).queued === 0, 5_000);
  expect((await small.record()).requests).toBe(requests);
  abort.abort();
  await running;
});

test("a reader that is slower than the model slows it down", async () => {
  await client.forward(chat({ tokens: 1 }));
  const tokens = 400;
  // 64 KiB a token: more than all the buffers on the way hold.
  const call = client.raw.ForwardRequestStream(chat({ tokens, tokenText: "x".repeat(64 * 1024) }, true), keyed());
  await new Promise((resolve) => call.once("data", resolve));
  call.pause();
  const made = async (): Promise<number> => (await node.record()).tokens;
  let last = -1;
  const stuck = await eventually("the engine waits", async () => {
    const now = await made();
    const still = now === last;
    last = now;
    await new Promise((resolve) => setTimeout(resolve, 200));
    return still ? now : undefined;
  });
  call.resume();
  let bytes = 0;
  for await (const { body } of call as AsyncIterable<ForwardResponse>) bytes += body.length;
  expect(bytes).toBeGreaterThan(64 * 1024 * (tokens - 1));
  expect((await made()) - stuck).toBeGreaterThan(tokens / 4);
});

test("reflection names the service and describes its messages", async () => {
  const { ServerReflection } = (
    loadPackageDefinition(await reflectionDefinition()) as unknown as {
      grpc: { reflection: { v1: { ServerReflection: ReflectionConstructor } } };
    }
  ).grpc.reflection.v1;
  const reflection = new ServerReflection(node.grpc, credentials.createInsecure());
  const call = reflection.ServerReflectionInfo();
  const answers: ReflectionAnswer[] = [];
  call.on("data", (answer: ReflectionAnswer) => answers.push(answer));
  const ended = new Promise((resolve) => call.once("end", resolve));
  call.write({ listServices: "*" });
  call.write({ fileContainingSymbol: "assistant.AssistantService" });
  call.end();
  await ended;
  reflection.close();
  expect(answers[0]?.listServicesResponse?.service.map(({ name }) => name)).toContain("assistant.AssistantService");
  const descriptor = Buffer.concat(answers[1]?.fileDescriptorResponse?.fileDescriptorProto ?? []).toString("latin1");
  for (const word of ["ForwardRequestStream", "InfoResponse", "endpoints"]) expect(descriptor).toContain(word);
});

interface ReflectionAnswer {
  readonly listServicesResponse?: { readonly service: readonly { readonly name: string }[] };
  readonly fileDescriptorResponse?: { readonly fileDescriptorProto: readonly Buffer[] };
}
type ReflectionCall = import("@grpc/grpc-js").ClientDuplexStream<object, ReflectionAnswer>;
type ReflectionConstructor = new (
  address: string,
  credentials: unknown,
) => { ServerReflectionInfo(): ReflectionCall; close(): void };

/** The public definition of reflection, as far as this test asks. */
async function reflectionDefinition(): Promise<import("@grpc/proto-loader").PackageDefinition> {
  const { fromJSON } = await import("@grpc/proto-loader");
  const field = (type: string, id: number, rule?: string) => ({ type, id, ...(rule ? { rule } : {}) });
  return fromJSON({
    nested: {
      grpc: {
        nested: {
          reflection: {
            nested: {
              v1: {
                nested: {
                  ServerReflection: {
                    methods: {
                      ServerReflectionInfo: {
                        comment: "",
                        requestType: "ServerReflectionRequest",
                        requestStream: true,
                        responseType: "ServerReflectionResponse",
                        responseStream: true,
                      },
                    },
                  },
                  ServerReflectionRequest: {
                    fields: { fileContainingSymbol: field("string", 4), listServices: field("string", 7) },
                  },
                  ServerReflectionResponse: {
                    fields: {
                      fileDescriptorResponse: field("FileDescriptorResponse", 4),
                      listServicesResponse: field("ListServiceResponse", 6),
                    },
                  },
                  FileDescriptorResponse: { fields: { fileDescriptorProto: field("bytes", 1, "repeated") } },
                  ListServiceResponse: { fields: { service: field("ServiceResponse", 1, "repeated") } },
                  ServiceResponse: { fields: { name: field("string", 1) } },
                },
              },
            },
          },
        },
      },
    },
  });
}

test("where the daemon has keys, each call needs one", async () => {
  await using locked = await startNode({ models: { river: "" }, env: { ASSISTANT_API_KEY: "secret" } });
  using caller = await grpcClient(locked.grpc);
  for (const key of [undefined, "wrong"]) {
    expect((await failure(caller.info(key))).code).toBe(codes.UNAUTHENTICATED);
    expect((await failure(caller.forward(chat(), key === undefined ? {} : { key }))).code).toBe(codes.UNAUTHENTICATED);
    const call = caller.raw.ForwardRequestStream(chat({}, true), keyed(key));
    call.resume();
    expect(((await new Promise((resolve) => call.once("error", resolve))) as ServiceError).code).toBe(
      codes.UNAUTHENTICATED,
    );
  }
  expect((await caller.info("secret")).models).toEqual(["river"]);
  expect((await caller.forward(chat(), { key: "secret" })).status).toBe(200);
  // Bridges from HTTP have the key among the headers.
  expect((await caller.forward({ ...chat(), headers: { Authorization: "Bearer secret" } })).status).toBe(200);
});

test("a daemon that is busy says RESOURCE_EXHAUSTED and when to come back", async () => {
  // Loaded first: an instance that comes up while the queue is full takes one request and leaves a place.
  await clientOfSmall.forward(chat({ tokens: 1 }));
  const abort = new AbortController();
  const body = chatBody("river", { tokens: 5_000, decodeDelayMs: 10 });
  const waiting = Array.from({ length: 300 }, () => postChat(small.url, body, {}, abort.signal).catch(() => null));
  await eventually("the queue is full", async () => (await small.status()).queued >= 256);
  const error = await failure(clientOfSmall.forward(chat()));
  expect(error.code).toBe(codes.RESOURCE_EXHAUSTED);
  expect(error.metadata.get("x-assistant-code")).toEqual(["queue_full"]);
  expect(Number(error.metadata.get("retry-after")[0])).toBeGreaterThanOrEqual(1);
  abort.abort();
  await Promise.all(waiting);
});

test("connections over the limit are closed, and those that are there go on", async () => {
  const [host = "", port = ""] = node.grpc.split(":");
  const sockets = Array.from({ length: 80 }, () => connect({ host, port: Number(port) }).on("error", () => {}));
  try {
    await eventually("the last ones are closed", () => sockets.filter(({ closed }) => closed).length >= 80 - 64);
    expect(sockets.filter(({ closed }) => !closed).length).toBeGreaterThan(50);
    expect((await client.info()).models).toEqual(["river"]);
  } finally {
    for (const socket of sockets) socket.destroy();
  }
});

test("the usual address, taken by another program, keeps nobody from starting; a chosen one does", async () => {
  const other = createServer();
  // Where it cannot be had another daemon on this machine has it, and may lose it at any moment: then it is had next.
  const taken = async (): Promise<unknown> => other.listening || (await listens(other, 50051));
  const status = await eventually("it starts beside the other program", async () => {
    await taken();
    await using usual = await installAssistant();
    await usual.serve();
    const found = await usual.status();
    return found.grpc === null && found;
  });
  expect(status.hints.join("\n")).toMatch(/gRPC is not served: Another program listens on 127\.0\.0\.1:50051/);
  await using chosen = await installAssistant({ config: 'grpc_addr = "127.0.0.1:50051"' });
  const refused = await eventually("it does not start", async () => {
    await taken();
    const { exitCode, stderr } = await chosen.run(["serve"]);
    if (exitCode === 0) await chosen.stop();
    return exitCode !== 0 && stderr;
  });
  expect(refused).toMatch(/Another program listens on 127\.0\.0\.1:50051.*grpc_addr/s);
  other.close();
});
