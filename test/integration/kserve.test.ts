import { createHash } from "node:crypto";
import {
  type Client,
  status as codes,
  credentials,
  Metadata,
  makeGenericClientConstructor,
  type ServiceError,
} from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { AuditReport } from "../../src/api/audit.ts";
import {
  loadInferenceService,
  type WireInferRequest,
  type WireInferResponse,
} from "../../src/api/inference-service.ts";
import { daemonClient } from "../../src/client/daemon-client.ts";
import { resolvePaths } from "../../src/config/paths.ts";
import { type FakeCollector, startCollector } from "../fakes/otlp-collector.ts";
import { eventually } from "../support/assistant.ts";
import { keyed, startNode, type TestNode } from "../support/nodes.ts";

const section = (name: string, more = ""): string =>
  `[[server.api_key_sha256]]\nname = "${name}"\nsha256 = "${createHash("sha256").update(name).digest("hex")}"\n${more}\n`;

let node: TestNode;
let collector: FakeCollector;
let client: Client & Record<"ModelStreamInfer", (metadata: Metadata) => InferStream>;
type InferStream = import("@grpc/grpc-js").ClientDuplexStream<Partial<WireInferRequest>, StreamMessage>;
interface StreamMessage {
  readonly errorMessage: string;
  readonly inferResponse: WireInferResponse | null;
}

beforeAll(async () => {
  const server =
    section("ann", 'models = ["river"]') +
    section("ben", "requests_per_minute = 1") +
    section("eve", 'scopes = ["inference", "admin"]');
  collector = await startCollector();
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_BSP_SCHEDULE_DELAY: "50" };
  node = await startNode({ models: { river: "slots = 2\n", lake: "" }, server, env });
  const { service } = await loadInferenceService();
  const address = node.grpc;
  client = new (makeGenericClientConstructor(service, "GRPCInferenceService"))(
    address,
    credentials.createInsecure(),
  ) as unknown as typeof client;
});
afterAll(async () => {
  client?.close();
  await node?.[Symbol.asyncDispose]();
  await collector?.[Symbol.asyncDispose]();
});

/** A call of the service by the name of its method. */
const call = <Answer>(
  method: string,
  request: object,
  {
    key = "ann",
    deadlineMs = 20_000,
    metadata = keyed(key),
  }: { key?: string; deadlineMs?: number; metadata?: Metadata } = {},
): Promise<Answer> => {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const unary = (client as unknown as Record<string, (...args: unknown[]) => void>)[method];
  unary?.call(
    client,
    request,
    metadata,
    { deadline: Date.now() + deadlineMs },
    (error: ServiceError | null, answer: Answer) => (error === null ? resolve(answer) : reject(error)),
  );
  return promise;
};
const refusal = async (work: Promise<unknown>): Promise<unknown[]> => {
  const error = (await work.then(
    () => null,
    (thrown: unknown) => thrown,
  )) as ServiceError | null;
  return [error?.code ?? codes.OK, error?.metadata.get("x-assistant-code")[0]];
};

const prompt = (knobs: object = {}): Buffer => Buffer.from(`Once [[fake ${JSON.stringify(knobs)}]]`);
const infer = (knobs: object = {}, changes: Partial<WireInferRequest> = {}): Partial<WireInferRequest> => ({
  modelName: "river",
  inputs: [{ name: "text_input", datatype: "BYTES", shape: [1], contents: { bytesContents: [prompt(knobs)] } }],
  ...changes,
});
const textOf = ({ outputs = [] }: WireInferResponse): string =>
  Buffer.concat(outputs[0]?.contents?.bytesContents ?? []).toString();

const http = (path: string, body?: object, key: string | null = "ann"): Promise<Response> =>
  fetch(`${node.url}${path}`, {
    ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
    headers: key === null ? {} : { authorization: `Bearer ${key}` },
  });
const generate = (knobs: object = {}): object => ({ text_input: prompt(knobs).toString() });

describe("over gRPC", () => {
  test("an answer is typed where the request is, and raw where it is raw", async () => {
    const typed = await call<WireInferResponse>("ModelInfer", infer({ tokens: 3 }, { id: "x" }));
    expect(typed).toMatchObject({ modelName: "river", modelVersion: "1", id: "x", rawOutputContents: [] });
    expect(typed.outputs?.map(({ name, datatype, shape }) => [name, datatype, shape])).toEqual([
      ["text_output", "BYTES", ["1"]],
      ["finish_reason", "BYTES", ["1"]],
    ]);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(prompt({ tokens: 3 }).length);
    const inputs = [{ name: "text_input", datatype: "BYTES", shape: [1] }];
    const rawInputContents = [Buffer.concat([length, prompt({ tokens: 3 })])];
    const raw = await call<WireInferResponse>("ModelInfer", { modelName: "river", inputs, rawInputContents });
    expect(raw.rawOutputContents?.[0]?.subarray(4).toString()).toBe(textOf(typed));
  });

  test("a call is a part of its caller's trace, and what the model does a part of the call", async () => {
    const traceId = `${"b".repeat(31)}1`;
    const metadata = keyed("ann");
    metadata.set("traceparent", `00-${traceId}-b7ad6b7169203331-01`);
    await call("ModelInfer", infer({ tokens: 2 }), { metadata });
    const [server, spans] = await eventually("the call's span has come", () => {
      const found = collector.spans().filter((span) => span.traceId === traceId);
      const own = found.find(({ kind }) => kind === "server");
      return own && ([own, found] as const);
    });
    expect(server).toMatchObject({
      name: "inference.GRPCInferenceService/ModelInfer",
      parentSpanId: "b7ad6b7169203331",
      attributes: { "rpc.system": "grpc", "rpc.method": "ModelInfer" },
    });
    const asked = spans.find(({ kind }) => kind === "client");
    expect(asked).toMatchObject({ parentSpanId: server.spanId, attributes: { "gen_ai.request.model": "river" } });
  });

  test("numbers that are not finite, and no model, are refused by their names", async () => {
    for (const [name, doubleParam] of [
      ["max_tokens", Number.NaN],
      ["temperature", Number.POSITIVE_INFINITY],
    ] as const)
      await expect(call("ModelInfer", infer({}, { parameters: { [name]: { doubleParam } } }))).rejects.toMatchObject({
        code: codes.INVALID_ARGUMENT,
        details: expect.stringContaining(`"${name}" must be a finite number; found ${doubleParam}`),
      });
    await expect(call("ModelInfer", infer({}, { modelName: "" }))).rejects.toMatchObject({
      code: codes.INVALID_ARGUMENT,
      details: expect.stringContaining("names no model"),
    });
  });

  test("metadata, readiness and the index show what the key may use", async () => {
    expect(await call("ModelMetadata", { name: "river" })).toMatchObject({
      ...{ name: "river", versions: ["1"], platform: "llama-server" },
      outputs: expect.arrayContaining([{ name: "text_output", datatype: "BYTES", shape: ["-1"] }]),
    });
    expect(await call("ModelReady", { name: "river" })).toEqual({ ready: true });
    expect(await call("ModelReady", { name: "nobody" })).toEqual({ ready: false });
    expect(await call("RepositoryIndex", { ready: true })).toEqual({
      models: [{ name: "river", version: "1", state: "READY", reason: "" }],
    });
    expect(await refusal(call("ModelMetadata", { name: "lake" }))).toEqual([
      codes.PERMISSION_DENIED,
      "insufficient_scope",
    ]);
    expect(await refusal(call("ModelMetadata", { name: "river", version: "2" }))).toEqual([
      codes.NOT_FOUND,
      "model_not_found",
    ]);
  });

  test("keys and their limits hold, except for probes", async () => {
    const nobody = { metadata: new Metadata() };
    expect(await call("ServerLive", {}, nobody)).toEqual({ live: true });
    expect(await call("ServerReady", {}, nobody)).toEqual({ ready: true });
    for (const method of [
      "ServerMetadata",
      "ModelMetadata",
      "ModelReady",
      "ModelInfer",
      "RepositoryIndex",
      "RepositoryModelLoad",
    ])
      expect(await refusal(call(method, {}, nobody)), method).toEqual([codes.UNAUTHENTICATED, "missing_api_key"]);
    expect(await refusal(call("ModelInfer", infer({}, { modelName: "lake" })))).toEqual([
      codes.PERMISSION_DENIED,
      "insufficient_scope",
    ]);
    expect(await refusal(call("ModelInfer", infer({ tokens: 1 }), { key: "ben" }))).toEqual([codes.OK, undefined]);
    expect(await refusal(call("ModelInfer", infer({ tokens: 1 }), { key: "ben" }))).toEqual([
      codes.RESOURCE_EXHAUSTED,
      "rate_limit_exceeded",
    ]);
  });

  test("errors are statuses of the catalogue's codes", async () => {
    const inputs = [{ name: "pixels", datatype: "INT32", shape: [1], contents: { intContents: [1] } }];
    expect(await refusal(call("ModelInfer", infer({}, { inputs })))).toEqual([
      codes.INVALID_ARGUMENT,
      "invalid_request",
    ]);
    const parameters = { temperature: { doubleParam: 9 } };
    expect(await refusal(call("ModelInfer", infer({}, { parameters })))).toEqual([
      codes.INVALID_ARGUMENT,
      "invalid_request",
    ]);
    expect(await refusal(call("ModelInfer", infer({}, { modelName: "nobody" }), { key: "eve" }))).toEqual([
      codes.NOT_FOUND,
      "model_not_found",
    ]);
    const rawInputContents = Array(30_000).fill(Buffer.alloc(0));
    expect(await refusal(call("ModelInfer", infer({}, { rawInputContents })))).toEqual([
      codes.INVALID_ARGUMENT,
      "invalid_request",
    ]);
  });

  test("a deadline that passes and a caller that cancels stop the engine", async () => {
    await call("ModelInfer", infer({ tokens: 1 }));
    const before = (await node.record()).aborted;
    const slow = infer({ tokens: 2_000, decodeDelayMs: 10 });
    expect((await refusal(call("ModelInfer", slow, { deadlineMs: 300 })))[0]).toBe(codes.DEADLINE_EXCEEDED);
    const stream = client.ModelStreamInfer(keyed("ann"));
    stream.on("error", () => {});
    stream.write(slow);
    await new Promise((resolve) => stream.once("data", resolve));
    stream.cancel();
    await eventually("both have been stopped", async () => (await node.record()).aborted === before + 2, 5_000);
  });

  test("a stream serves its requests beside each other, and one that fails harms no other", async () => {
    const stream = client.ModelStreamInfer(keyed("ann"));
    const whole = { stream: { boolParam: false } };
    stream.write(infer({ tokens: 4 }, { id: "a" }));
    stream.write(infer({}, { id: "b", modelName: "lake" }));
    stream.write(infer({ tokens: 2 }, { id: "c", parameters: whole }));
    stream.end();
    const seen = new Map<string, StreamMessage[]>();
    for await (const message of stream as AsyncIterable<StreamMessage>) {
      const { id = "" } = message.inferResponse ?? {};
      seen.set(id, [...(seen.get(id) ?? []), message]);
    }
    const finals = (id: string) =>
      seen.get(id)?.map(({ inferResponse: part }) => part?.parameters?.["triton_final_response"]?.boolParam);
    expect(finals("a")).toEqual([false, false, false, false, true]);
    expect(finals("c")).toEqual([true]);
    expect(seen.get("b")).toEqual([
      expect.objectContaining({ errorMessage: expect.stringContaining('may not use the model "lake"') }),
    ]);
  });

  test("a stream whose key was revoked finishes what runs, takes no further request and ends unauthenticated", async () => {
    const keys = daemonClient(resolvePaths(node.assistant.env));
    const { secret } = await keys.createKey({ name: "tim" });
    const stream = client.ModelStreamInfer(keyed(secret));
    const error = new Promise<ServiceError>((resolve) => stream.once("error", resolve));
    const texts: string[] = [];
    stream.on("data", ({ inferResponse }: StreamMessage) => texts.push(inferResponse?.id ?? ""));
    stream.write(infer({ tokens: 40, decodeDelayMs: 10 }, { id: "before" }));
    await new Promise((resolve) => stream.once("data", resolve));
    await keys.revokeKey("tim", { forget: false });
    stream.write(infer({ tokens: 1 }, { id: "after" }));
    const { code, metadata } = await error;
    expect([code, metadata.get("x-assistant-code")[0]]).toEqual([codes.UNAUTHENTICATED, "invalid_api_key"]);
    expect(texts).toEqual(Array(41).fill("before"));
  });

  test("a reader that is slower than the model slows it down", async () => {
    const tokens = 400;
    // 64 KiB a token: more than all the buffers on the way hold.
    const stream = client.ModelStreamInfer(keyed("ann"));
    const before = (await node.record()).tokens;
    stream.write(infer({ tokens, tokenText: "x".repeat(64 * 1024) }));
    await new Promise((resolve) => stream.once("data", resolve));
    stream.pause();
    const made = async (): Promise<number> => (await node.record()).tokens - before;
    let last = -1;
    await eventually("no more is made", async () => {
      const now = await made();
      const isStill = now === last;
      last = now;
      return isStill;
    });
    expect(last).toBeLessThan(tokens);
    const ended = new Promise((resolve) => stream.once("end", resolve));
    stream.end();
    stream.resume();
    await ended;
    expect(await made()).toBe(tokens);
  });
});

describe("over HTTP", () => {
  test("generate_stream sends events, whose last one says why it ended", async () => {
    const answer = await http("/v2/models/river/versions/1/generate_stream", generate({ tokens: 2 }));
    expect(answer.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
    const events = (await answer.text()).split("\n\n").filter((event) => event !== "");
    expect(events.map((event) => JSON.parse(event.replace("data: ", "")) as object)).toEqual([
      { model_name: "river", model_version: "1", text_output: expect.any(String), finish_reason: "" },
      { model_name: "river", model_version: "1", text_output: expect.any(String), finish_reason: "" },
      { model_name: "river", model_version: "1", text_output: "", finish_reason: "stop" },
    ]);
  });

  test("an answer that is not streamed is one event", async () => {
    const answer = await http("/v2/models/river/generate_stream", { ...generate({ tokens: 2 }), stream: false });
    expect(answer.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
    expect((await answer.text()).match(/data: .*"finish_reason":"stop"\}\n\n/g)).toHaveLength(1);
  });

  test("what fails within a stream is an event of its own", async () => {
    const answer = await http("/v2/models/river/generate_stream", generate({ tokens: 5, resetAfterTokens: 2 }));
    const [last] = (await answer.text())
      .split("\n\n")
      .filter((event) => event !== "")
      .slice(-1);
    expect(JSON.parse((last ?? "").replace("data: ", ""))).toEqual({ error: expect.any(String) });
  });

  test("errors have KServe's shape", async () => {
    for (const [path, body, status, key] of [
      ["/v2/models/nobody/infer", { inputs: [] }, 404, "eve"],
      ["/v2/models/nobody", undefined, 404, "eve"],
      ["/v2/models/river/versions/2/ready", undefined, 404, "eve"],
      ["/v2/models/river/infer", { inputs: [] }, 400, "eve"],
      ["/v2/models/lake/generate", generate(), 403, "ann"],
      ["/v2/models/river/infer", undefined, 405, "ann"],
      ["/v2/models/river", undefined, 401, null],
      ["/v2/repository/models/river/load", {}, 403, "ann"],
    ] as const) {
      const answer = await http(path, body, key);
      expect([path, answer.status, await answer.json()]).toEqual([path, status, { error: expect.any(String) }]);
    }
  });

  test("probes need no key", async () => {
    expect(await (await http("/v2/health/live", undefined, null)).json()).toEqual({ live: true });
    expect(await (await http("/v2/health/ready", undefined, null)).json()).toEqual({ ready: true });
  });
});

test("models are loaded and unloaded by keys that may, in both ways", async () => {
  const isLoaded = async (): Promise<boolean> =>
    (await node.status()).instances.some(({ model, state }) => model === "lake" && state === "ready");
  // KServe's clients name the model in the first field, Triton's in the second.
  await call("RepositoryModelLoad", { repositoryName: "lake" }, { key: "eve" });
  expect(await isLoaded()).toBe(true);
  expect((await http("/v2/repository/models/lake/unload", {}, "eve")).status).toBe(200);
  expect(await isLoaded()).toBe(false);
  expect((await http("/v2/repository/models/lake/load", {}, "eve")).status).toBe(200);
  expect(await isLoaded()).toBe(true);
  expect(await call("RepositoryModelUnload", { modelName: "lake" }, { key: "eve" })).toEqual({
    modelName: "lake",
    done: true,
  });
  expect(await isLoaded()).toBe(false);
  expect(await refusal(call("RepositoryModelLoad", { modelName: "river" }))).toEqual([
    codes.PERMISSION_DENIED,
    "insufficient_scope",
  ]);
  const { entries } = (await (await http("/admin/audit", undefined, "eve")).json()) as AuditReport;
  const byEve = entries.filter(({ actor }) => actor === "eve").reverse();
  expect(byEve.map(({ actor, via, target, status }) => [actor, via, target, status])).toEqual([
    ["eve", "grpc", "lake", 200],
    ["eve", "http", "lake/unload", 200],
    ["eve", "http", "lake/load", 200],
    ["eve", "grpc", "lake", 200],
  ]);
});
