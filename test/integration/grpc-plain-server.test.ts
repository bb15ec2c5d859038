import { type Metadata, Server, ServerCredentials, type ServerWritableStream } from "@grpc/grpc-js";
import { afterEach, expect, test } from "vitest";
import {
  type ForwardRequest,
  type ForwardResponse,
  loadAssistantService,
  type Sent,
} from "../../src/api/assistant-service.ts";
import { eventually } from "../support/assistant.ts";
import { allUp, NodeGroup, postChat } from "../support/nodes.ts";

/** A server by others, with the three calls of the service and nothing that Assistant has added to them. */
const nodes = new NodeGroup();
const { start } = nodes;
let server: Server | null = null;
afterEach(async () => {
  await nodes.end();
  server?.forceShutdown();
});

interface Seen {
  readonly request: ForwardRequest;
  readonly metadata: Metadata;
  cancelled: boolean;
}

/** Answers every call with `answer`, or with nothing where there is none. */
async function plainServer(answer: string | null): Promise<{ readonly grpc: string; readonly seen: Seen[] }> {
  const { service } = await loadAssistantService();
  const seen: Seen[] = [];
  const running = new Server();
  running.addService(service, {
    getInfo: (_: unknown, done: (error: null, info: object) => void) =>
      done(null, { version: "9.9.9", models: ["river"], endpoints: ["/v1/chat/completions"] }),
    forwardRequestStream: (call: ServerWritableStream<ForwardRequest, Sent<ForwardResponse>>) => {
      const entry: Seen = { request: call.request, metadata: call.metadata, cancelled: false };
      seen.push(entry);
      call.once("cancelled", () => {
        entry.cancelled = true;
      });
      if (answer === null) return;
      call.write({ status: 200, headers: { "content-type": "application/json" }, body: Buffer.from(answer) });
      call.end();
    },
  });
  const port = await new Promise<number>((resolve, reject) =>
    running.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  server = running;
  return { grpc: `127.0.0.1:${port}`, seen };
}

const body = JSON.stringify({ model: "river", messages: [{ role: "user", content: "Hello" }] });
const answer = JSON.stringify({
  choices: [{ index: 0, message: { role: "assistant", content: "Hi" }, finish_reason: "stop" }],
});

test("a server that has nothing but the service of the specification is used, with key, hops, deadline and the client's bytes", async () => {
  const { grpc, seen } = await plainServer(answer);
  const a = await start({ remotes: [{ name: "plain", grpc, extra: 'api_key = "its-key"' }] });
  await allUp(a);
  expect((await a.nodes())[0]).toMatchObject({ version: "9.9.9", models: ["river"] });
  const response = await postChat(a.url, body, {
    "x-request-timeout": "30",
    "x-assistant-priority": "70",
    "x-request-id": "mine-9",
  });
  expect([response.status, await response.text()]).toEqual([200, answer]);
  expect(response.headers.get("x-assistant-instance")).toBe("remote:plain");
  const [{ request, metadata } = { request: null, metadata: null }] = seen;
  expect(request).toMatchObject({ path: "/v1/chat/completions", method: "POST" });
  expect(request?.body.toString()).toBe(body);
  expect(metadata?.get("authorization")).toEqual(["Bearer its-key"]);
  const { nodeId } = JSON.parse((await a.assistant.run(["node", "list", "--json"])).stdout) as { nodeId: string };
  expect(request?.headers).toMatchObject({
    "x-assistant-hops": nodeId,
    "x-assistant-priority": "70",
    "x-request-id": "mine-9",
  });
  const remaining = Number(request?.headers["x-assistant-timeout-ms"]);
  expect(remaining).toBeGreaterThan(0);
  expect(remaining).toBeLessThanOrEqual(30_000);
});

test("a client that leaves cancels its call at the server", async () => {
  const { grpc, seen } = await plainServer(null);
  const a = await start({ remotes: [{ name: "plain", grpc }] });
  await allUp(a);
  const leaving = new AbortController();
  const waiting = postChat(a.url, body, {}, leaving.signal).catch(() => null);
  await eventually("the call is there", () => seen.length === 1);
  expect(seen[0]?.cancelled).toBe(false);
  leaving.abort();
  await waiting;
  await eventually("it was cancelled", () => seen[0]?.cancelled === true);
  await eventually("nothing is left", async () => (await a.nodes())[0]?.inFlight === 0);
});
