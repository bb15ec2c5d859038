import { join } from "node:path";
import { credentials, makeGenericClientConstructor, Server, ServerCredentials } from "@grpc/grpc-js";
import { execa } from "execa";
import { afterAll, beforeAll, expect, test } from "vitest";
import { superviseHandlers } from "../../commands/support/worker/supervise.ts";
import {
  loadInferenceService,
  type WireInferRequest,
  type WireInferResponse,
} from "../../src/api/inference-service.ts";
import { Client, InferenceError } from "../../src/workers/handlers/client.ts";
import { ObjectsClient } from "../../src/workers/handlers/objects.ts";
import {
  compileCache,
  eventually,
  installAssistant,
  isRunning,
  packageRoot,
  type TestAssistant,
} from "../support/assistant.ts";
import { tritonClient } from "../support/triton.ts";

interface InferenceClient {
  ModelInfer(request: object, callback: (error: Error | null, answer: WireInferResponse) => void): void;
  close(): void;
}

let assistant: TestAssistant;
let url: string;
const stopping = new AbortController();
let ended: Promise<number>;

beforeAll(async () => {
  const example = join(packageRoot, "examples/handlers/on-demand.ts");
  const program = join(packageRoot, "src/workers/handlers/run-program.ts");
  const kept = `NODE_COMPILE_CACHE=${compileCache}`;
  const command = ["env", kept, process.execPath, program, example, "--port", "{port}"];
  assistant = await installAssistant({
    env: { ASSISTANT_GRPC_ADDR: "127.0.0.1:0" },
    scheduler: "max_queued_per_model = 1",
    config: `[[worker_pools]]
name = "sleepers"
command = ${JSON.stringify(command)}
capabilities = [{ type = "pid" }]
idle_s = 0.5

[[worker_pools]]
name = "snakes"
command = ["python3", ${JSON.stringify(join(packageRoot, "examples/python/capability_worker.py"))}, "--port", "{port}"]
capabilities = [{ type = "python-echo" }, { type = "python-count" }]

[[worker_pools]]
name = "broken"
command = ["/bin/sh", "-c", "echo cannot find the module >&2; exit 1", "{port}"]
capabilities = [{ type = "broken" }]
`,
  });
  url = await assistant.serve();
  ended = superviseHandlers(
    {
      ...{
        target: join(packageRoot, "examples/handlers/echo.ts"),
        host: "127.0.0.1",
        port: 0,
        workers: 1,
        reload: false,
      },
      ...{ apiServer: url, objectStore: "", replicaId: "test", env: process.env, say: () => {} },
    },
    stopping.signal,
  );
  await eventually("its handlers are registered", async () => (await registry()).includes("echo"));
});
afterAll(async () => {
  stopping.abort();
  await ended;
  await assistant[Symbol.asyncDispose]();
});

const registry = async (): Promise<string[]> => {
  const { replicas } = (await (await fetch(`${url}/registry`)).json()) as {
    readonly replicas: readonly { readonly capabilities: readonly { readonly type?: string }[] }[];
  };
  return replicas.flatMap(({ capabilities }) => capabilities.map(({ type = "" }) => type));
};
const json = (path: string, body: object, headers: Record<string, string> = {}, method = "POST"): Promise<Response> =>
  fetch(`${url}${path}`, {
    method,
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
const text = (value: string) => ({ inputs: [{ name: "text", datatype: "BYTES", shape: [1], data: [value] }] });

test("a handler is asked by capability, by its type over KServe, and by name", async () => {
  const byCapability = await json("/infer/json", { id: "7", ...text("hi") }, { "x-capability-type": "echo" });
  expect([byCapability.status, await byCapability.json()]).toEqual([
    200,
    {
      model_name: "echo",
      model_version: "1",
      id: "7",
      outputs: [{ name: "echo", datatype: "BYTES", shape: [1], data: ["hi"] }],
    },
  ]);
  const two = await json("/infer/json", text("hi"), { "x-capability-gpus": "2", "x-capability-language": "en" });
  expect(await two.json()).toMatchObject({ outputs: [{ data: ["HI"] }] });
  const byName = await json("/v2/models/echo/infer", text("hi"));
  expect(await byName.json()).toMatchObject({ model_name: "echo", outputs: [{ data: ["hi"] }] });
});

test("the client passes tensors of every kind, in both modes, over HTTP and gRPC", async () => {
  const bytes = Buffer.from([0, 255, 7]);
  const { grpc = "" } = await assistant.status();
  for (const client of [
    new Client({ endpoint: url }),
    new Client({ endpoint: grpc ?? "" }),
    new Client({ apiServer: url, capability: { type: "echo" } }),
  ]) {
    expect(await client.infer("echo", { text: [bytes] })).toEqual({ echo: [bytes] });
    expect(await client.infer("echo", { text: [1.5, -2.25] })).toEqual({ echo: [1.5, -2.25] });
    expect(await client.infer("echo", { text: [1, 2 ** 30] })).toEqual({ echo: [1, 2 ** 30] });
    expect([await client.isAlive(), await client.isModelReady("echo"), await client.isModelReady("no")]).toEqual([
      true,
      true,
      false,
    ]);
    await expect(client.infer("nobody", { text: [1] })).rejects.toMatchObject({ status: 404 });
    client.close();
  }
  await expect(new Client({ apiServer: url, capability: { type: "none" } }).infer("x", {})).rejects.toThrow(
    'No matching replica for: {"type":"none"}',
  );
  expect(() => new Client({ apiServer: url } as never)).toThrow(TypeError);
});

test("a stream comes part by part", async () => {
  const inputs = [{ name: "to", datatype: "INT32", shape: [1], data: [3] }];
  const answer = await json("/infer/stream", { inputs }, { "x-capability-type": "count" });
  const events = (await answer.text())
    .trim()
    .split("\n\n")
    .map((event) => JSON.parse(event.replace("data: ", "")));
  expect(answer.headers.get("content-type")).toBe("text/event-stream");
  expect(events.map(({ outputs }) => outputs[0].data)).toEqual([[1], [2], [3]]);
  expect((await json("/infer/json", { inputs }, { "x-capability-type": "count" })).status).toBe(400);
});

test("what a handler throws is an error, what nobody offers a 404, and a request without capability a 400", async () => {
  const failed = await json("/infer/json", text("a"), { "x-capability-type": "faulty" });
  expect([failed.status, await failed.text()]).toEqual([502, expect.stringContaining("the handler has failed")]);
  const missing = await json("/infer/json", { inputs: [] }, { "x-capability-type": "echo" });
  expect([missing.status, await missing.text()]).toEqual([400, expect.stringMatching(/"text.*is missing/)]);
  const none = await json("/infer/json", text("a"), { "x-capability-type": "echo", "x-capability-gpus": "9" });
  expect([none.status, await none.text()]).toEqual([404, expect.stringContaining("Nearest")]);
  expect((await json("/infer/json", text("a"))).status).toBe(400);
});

test("a request does not go back to who delegated it, and not round for ever", async () => {
  const back = await json("/infer/json", text("a"), {
    "x-capability-type": "echo",
    "x-delegated-from": "test",
    "x-delegation-depth": "1",
  });
  expect([back.status, await back.text()]).toEqual([404, expect.stringContaining("delegated 1 times")]);
  const round = await json("/infer/json", text("a"), { "x-capability-type": "echo", "x-delegation-depth": "5" });
  expect(round.status).toBe(404);
});

test("a registration lives as long as its stream, and a later one of the same id is not ended by the earlier one's end", async () => {
  const open = async (capability: object): Promise<AbortController> => {
    const held = new AbortController();
    const answer = await fetch(`${url}/register`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ replica_id: "r1", endpoint: "127.0.0.1:9", capabilities: [capability] }),
      signal: held.signal,
    });
    const { value } = (await answer.body?.getReader().read()) ?? {};
    expect(Buffer.from(value ?? []).toString()).toBe('data: {"status":"registered","replica_id":"r1"}\n\n');
    return held;
  };
  const first = await open({ type: "guest", version: 1 });
  const second = await open({ type: "guest", version: 2 });
  first.abort();
  const route = async (query: string): Promise<unknown> => await (await fetch(`${url}/route?${query}`)).json();
  expect(await route("type=guest&version=2")).toEqual({ endpoint: "127.0.0.1:9", replica_id: "r1" });
  expect((await fetch(`${url}/route?type=guest&version=1`)).status).toBe(404);
  const unreached = await json("/infer/json", text("a"), { "x-capability-type": "guest" });
  expect(unreached.status).toBe(503);
  second.abort();
  await eventually("it is gone", async () => (await fetch(`${url}/route?type=guest`)).status === 404);
  expect((await json("/unregister", { replica_id: "r1" }, {}, "DELETE")).status).toBe(404);
});

test("handlers pass objects by reference, through the daemon", async () => {
  const client = new Client({ endpoint: url });
  expect(await client.infer("relay", { text: ["a", "b"] })).toEqual({ text: [Buffer.from("a b")] });
});

test("objects are kept, listed, read and cleaned up; a key never becomes a path", async () => {
  const objects = new ObjectsClient(url);
  const bytes = Buffer.from([0, 1, 255]);
  const ref = await objects.create(bytes, { key: "../../etc/passwd" });
  expect(ref).toMatchObject({ key: "../../etc/passwd", size: 3, content_type: "bytes" });
  expect(await objects.get(ref)).toEqual(bytes);
  const made = await objects.create({ list: [1] });
  expect([made.key, await objects.get(made.key)]).toEqual([expect.stringMatching(/^obj-[0-9a-f]{8}-/), { list: [1] }]);
  expect([await objects.exists(ref), await objects.exists("nope")]).toEqual([true, false]);
  expect([await objects.delete(ref), await objects.delete(ref)]).toEqual([true, false]);
  expect((await json("/api/v1/objects/bad", {}, {}, "PUT")).status).toBe(201);
  const broken = await fetch(`${url}/api/v1/objects`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: "{",
  });
  expect(broken.status).toBe(400);
  expect((await fetch(`${url}/api/v1/objects?after=a&after=b`)).status).toBe(400);
  expect((await objects.list()).map(({ key }) => key)).toEqual(expect.arrayContaining(["bad", made.key]));
  const put = await assistant.run(["object", "put", "-", "--key", "cli", "--json"], { input: "text" });
  expect(JSON.parse(put.stdout)).toMatchObject({ key: "cli", size: 4 });
  expect((await assistant.run(["object", "get", "cli"])).stdout).toBe("text");
  expect((await assistant.run(["object", "rm", "nope"])).exitCode).toBe(4);
  expect(await objects.cleanup(3600)).toBe(0);
  expect(await objects.cleanup(0)).toBeGreaterThanOrEqual(3);
  expect(await objects.list()).toEqual([]);
});

test("a capability whose worker does not run starts it, and it is stopped when nobody asks", async () => {
  const client = new Client({ apiServer: url, capability: { type: "pid" } });
  const { pid: [pid = 0] = [] } = await client.infer("pid", { hold_ms: [0] });
  expect(await isRunning(Number(pid))).toBe(true);
  await eventually("it was stopped", async () => !(await isRunning(Number(pid))));
  const { pid: [next = 0] = [] } = await client.infer("pid", { hold_ms: [0] });
  expect(next).not.toBe(pid);
});

test("a capability takes so many requests as its queue has places for, and says when to come back", async () => {
  const ask = () =>
    json("/v2/models/pid/infer", { inputs: [{ name: "hold_ms", datatype: "INT32", shape: [1], data: [500] }] });
  const answers = await Promise.all([ask(), ask(), ask(), ask()]);
  const statuses = answers.map(({ status }) => status).sort();
  expect(statuses).toEqual([200, 200, 429, 429]);
  expect(answers.find(({ status }) => status === 429)?.headers.get("retry-after")).toMatch(/^\d+$/);
});

test("a worker that crashes is started again; a command that cannot run is an error that says so", async () => {
  const client = new Client({ endpoint: url });
  const { pid: [pid = 0] = [] } = await client.infer("pid", { hold_ms: [0] });
  process.kill(Number(pid), "SIGKILL");
  const after = await client.infer("pid", { hold_ms: [0] }).catch(() => client.infer("pid", { hold_ms: [0] }));
  expect(after["pid"]?.[0]).not.toBe(pid);
  const broken = await json("/infer/json", text("a"), { "x-capability-type": "broken" });
  expect([broken.status, await broken.text()]).toEqual([503, expect.stringContaining("cannot find the module")]);
});

test("handlers in Python take and give the same", async () => {
  const client = new Client({ endpoint: url });
  const bytes = Buffer.from([0, 255]);
  expect(await client.infer("python-echo", { text: [bytes] })).toEqual({ echo: [bytes] });
  const inputs = [{ name: "to", datatype: "INT32", shape: [1], data: [2] }];
  const events = await (await json("/infer/stream", { inputs }, { "x-capability-type": "python-count" })).text();
  expect([...events.matchAll(/"data": ?\[(\d)\]/g)].map(([, number]) => number)).toEqual(["1", "2"]);
});

test("gRPC reaches handlers, whole and part by part, and workers that speak it are reached over it", async () => {
  const { service } = await loadInferenceService();
  const Inference = makeGenericClientConstructor(service, "inference.GRPCInferenceService");
  const infer = (client: InferenceClient, request: object): Promise<WireInferResponse> =>
    new Promise((resolve, reject) => {
      client.ModelInfer(request, (error: Error | null, answer: WireInferResponse) =>
        error ? reject(error) : resolve(answer),
      );
    });
  const { endpoint } = (await (await fetch(`${url}/route?type=echo`)).json()) as { readonly endpoint: string };
  const client = new Inference(endpoint, credentials.createInsecure()) as unknown as InferenceClient;
  const halves = { name: "text", datatype: "FP16", shape: [2] };
  const answer = await infer(client, {
    modelName: "echo",
    id: "9",
    inputs: [{ name: "text", datatype: "INT64", shape: [1], contents: { int64Contents: ["9007199254740993"] } }],
  });
  expect(answer).toMatchObject({
    modelName: "echo",
    id: "9",
    outputs: [{ name: "echo", datatype: "INT64", contents: { int64Contents: ["9007199254740993"] } }],
  });
  const whole = { name: "text", datatype: "BOOL", shape: [1], contents: { boolContents: [true] } };
  await expect(infer(client, { modelName: "nope", inputs: [whole] })).rejects.toMatchObject({ code: 5 });

  // A worker with gRPC, which answers with its input.
  const server = new Server();
  server.addService(service, {
    modelInfer: ({ request }: { request: WireInferRequest }, callback: (error: null, answer: object) => void) =>
      callback(null, {
        modelName: request.modelName,
        modelVersion: request.modelVersion,
        outputs: request.inputs,
        rawOutputContents: request.rawInputContents,
      }),
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  const held = new AbortController();
  const body = { replica_id: "grpc-1", endpoint: `127.0.0.1:${port}`, capabilities: [{ type: "mirror", model: "v9" }] };
  const registered = await fetch(`${url}/register`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal: held.signal,
  });
  await registered.body?.getReader().read();
  const raw = Buffer.from([1, 2, 3, 4]);
  expect(
    await eventually("it is known", () =>
      infer(client, { modelName: "mirror", modelVersion: "v9", inputs: [halves], rawInputContents: [raw] }).catch(
        () => false as const,
      ),
    ),
  ).toMatchObject({
    modelName: "mirror",
    modelVersion: "v9",
    rawOutputContents: [raw],
  });
  // Who looks for it is sent to it, past the daemon.
  const found = new Client({ apiServer: url, capability: { type: "mirror" } });
  expect(await found.infer("mirror", { text: [1, 2] })).toEqual({ text: [1, 2] });
  expect(found.endpoint).toBe(`127.0.0.1:${port}`);
  found.close();
  held.abort();
  client.close();
  server.forceShutdown();
});

test("the official Triton client reaches handlers over HTTP, gRPC, its stream and protobuf", async () => {
  const { grpc } = await assistant.status();
  const script = join(packageRoot, "test/fixtures/triton-handlers.py");
  const env = { PYTHONPATH: await tritonClient(), no_proxy: "*" };
  const example = join(packageRoot, "examples/python/kserve_client.py");
  const [{ stdout }, ofExample] = await Promise.all([
    execa("python3", [script, new URL(url).host, grpc ?? ""], { env }),
    execa("python3", [example, url, "Hello"], { env }),
  ]);
  expect(ofExample.stdout).toBe("Hello");
  const answered = { ready: true, same: [true, true, true, true] };
  const missing = expect.stringMatching(/"text.*is missing/);
  expect(JSON.parse(stdout)).toEqual({
    http: { ...answered, refusal: ["400", missing] },
    grpc: { ...answered, refusal: ["StatusCode.INVALID_ARGUMENT", missing] },
    stream: { numbers: [1, 2, 3], failure: expect.stringContaining("the handler has failed") },
    infer: { model: "echo", id: "p", output: "echo", data: [4, 5] },
  });
});

test("an error of the client says what was wrong", async () => {
  const client = new Client({ endpoint: "http://127.0.0.1:9" });
  await expect(client.infer("echo", { text: ["a"] })).rejects.toBeInstanceOf(InferenceError);
});

test("a replica on another host is refused unless the settings allow it", async () => {
  for (const endpoint of ["http://192.0.2.7:9000", "192.0.2.7:8001"]) {
    const refused = await json("/register", { replica_id: "far", endpoint, capabilities: [{ type: "far" }] });
    expect([refused.status, await refused.text()]).toEqual([403, expect.stringContaining("[workers] allowed_hosts")]);
  }
});

test("no worker outlives a daemon that was killed", async () => {
  const client = new Client({ endpoint: url });
  const { pid: [pid = 0] = [] } = await client.infer("pid", { hold_ms: [0] });
  process.kill(Number((await assistant.status()).pid), "SIGKILL");
  expect(await isRunning(Number(pid))).toBe(true);
  await eventually("it is served again", async () => await assistant.serve());
  await eventually("the worker has ended", async () => !(await isRunning(Number(pid))));
});
