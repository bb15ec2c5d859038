import { hash } from "node:crypto";
import { connect } from "node:net";
import { afterEach, expect, test, vi } from "vitest";
import { WebSocket } from "ws";
import type { ApiKey } from "../../src/core/config.ts";
import { SOCKET_LIMITS, type SocketLimits } from "../../src/gateway/front/sockets.ts";
import type { Monitor } from "../../src/monitor/monitor.ts";
import { eventually } from "../support/assistant.ts";
import { type TestGateway, testGateway } from "../support/gateway.ts";
import { testMonitor } from "../support/monitor.ts";

let gateway: TestGateway;
let monitor: Monitor;
const sockets: WebSocket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.terminate();
  await gateway[Symbol.asyncDispose]();
});

const KEY = "sk-watcher";
const watcher: ApiKey = { name: "watcher", sha256: hash("sha256", KEY), scopes: ["metrics"] };

async function start({ keys = [], ...limits }: Partial<SocketLimits> & { keys?: readonly ApiKey[] } = {}) {
  monitor = testMonitor();
  gateway = await testGateway(() => {}, { monitor, socketLimits: { ...SOCKET_LIMITS, ...limits } });
  gateway.settings.apiKeys = keys;
  return `ws://127.0.0.1:${gateway.port}/ws/monitor`;
}

interface Client {
  readonly socket: WebSocket;
  readonly messages: { readonly type: string; readonly data?: Record<string, unknown> }[];
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
}

/** Resolves once it is connected; rejects with the status of a refusal. */
function open(url: string, headers: Readonly<Record<string, string>> = {}): Promise<Client> {
  const socket = new WebSocket(url, { headers });
  sockets.push(socket);
  const messages: Client["messages"] = [];
  const closed = new Promise<{ code: number; reason: string }>((resolve) =>
    socket.once("close", (code, reason) => resolve({ code, reason: reason.toString() })),
  );
  return new Promise((resolve, reject) => {
    socket.on("message", (data) => {
      messages.push(JSON.parse(String(data)));
      resolve({ socket, messages, closed });
    });
    socket.once("error", reject);
    socket.once("unexpected-response", (_, response) => reject(response.statusCode));
  });
}

const told = (): void => monitor.tell({ type: "log", data: { level: "info", message: "hello" }, task: null });

test("a socket is opened by who may read metrics, with the key in a header or in the query, which is not logged", async () => {
  const reader: ApiKey = { name: "reader", sha256: hash("sha256", "sk-reader") };
  const url = await start({ keys: [watcher, reader] });
  await open(url, { authorization: `Bearer ${KEY}` });
  await open(`${url}?api_key=${KEY}`);
  await expect(open(url)).rejects.toBe(401);
  await expect(open(`${url}?api_key=sk-wrong`)).rejects.toBe(401);
  await expect(open(url, { authorization: "Bearer sk-reader" })).rejects.toBe(403);
  const lines = JSON.stringify(gateway.lines);
  expect(lines).toContain('"path":"/ws/monitor"');
  expect(lines).not.toMatch(/sk-/);
});

test("pages of the web and names that are not this machine's are refused", async () => {
  const url = await start();
  await open(url, { origin: "http://localhost:3000" });
  await expect(open(url, { origin: "https://example.org" })).rejects.toBe(403);
  await expect(open(url, { host: "example.org" })).rejects.toBe(403);
});

test("other requests there are refused, and other upgrades elsewhere are answered without one", async () => {
  const url = await start();
  const plain = await fetch(url.replace("ws", "http"));
  expect(plain.status).toBe(426);
  expect(await plain.json()).toMatchObject({ error: { code: "upgrade_required" } });
  await expect(open(url.replace("/ws/monitor", "/ws/nothing"))).rejects.toBe(404);
  const answer = await fetch(`http://127.0.0.1:${gateway.port}/v1/models`);
  expect(answer.status).toBe(200);
  expect(await raw("GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")).toMatch(
    /^HTTP\/1.1 200 /,
  );
});

test("a key that is revoked closes its sockets", async () => {
  const url = await start({ keys: [watcher], checkEveryMs: 20 });
  const { closed } = await open(url, { authorization: `Bearer ${KEY}` });
  gateway.settings.apiKeys = [{ ...watcher, isRevoked: true }];
  expect(await closed).toEqual({ code: 1008, reason: 'The API key "watcher" was revoked.' });
  await eventually("nobody watches", () => !monitor.isWatched);
});

test("there are no more sockets than may be", async () => {
  const url = await start({ connections: 2 });
  const first = await open(url);
  await open(url);
  await expect(open(url)).rejects.toBe(429);
  first.socket.close();
  await first.closed;
  await open(url);
});

test("messages that are too long or not text end the connection", async () => {
  const url = await start({ messageBytes: 100 });
  const long = await open(url);
  long.socket.send("x".repeat(101));
  expect(await long.closed).toMatchObject({ code: 1009 });
  const binary = await open(url);
  binary.socket.send(Buffer.from("{}"));
  expect(await binary.closed).toEqual({ code: 1003, reason: "messages must be text" });
});

test("a client that answers no ping is disconnected, and one that does stays", async () => {
  const url = await start({ checkEveryMs: 10, pingEveryMs: 50 });
  const alive = await open(url);
  let pings = 0;
  alive.socket.on("ping", () => {
    pings += 1;
  });
  const dead = new WebSocket(url, { autoPong: false });
  sockets.push(dead);
  const code = await new Promise((resolve) => dead.once("close", resolve));
  expect(code).toBe(1006);
  await eventually("it was asked again", () => pings > 2);
  expect(alive.socket.readyState).toBe(WebSocket.OPEN);
});

test("a reader that is slow loses events, is told how many", async () => {
  const url = await start();
  const fast = await open(url);
  const slow = await open(url);
  slow.socket.pause();
  const SENT = 1_000;
  const text = "x".repeat(20_000);
  for (let index = 0; index < SENT; index++) {
    monitor.tell({ type: "log", data: { level: "info", message: text, index }, task: null });
    if (index % 50 === 49) await eventually("the other has them", () => logs(fast).length === index + 1);
  }
  slow.socket.resume();
  await eventually("it is told", () => slow.messages.some(({ type }) => type === "dropped"));
  const dropped = slow.messages.find(({ type }) => type === "dropped")?.data?.["count"];
  told();
  await eventually("it goes on", () => logs(slow).at(-1)?.data?.["message"] === "hello");
  expect(Number(dropped)).toBeGreaterThan(0);
  expect(logs(slow).length - 1 + Number(dropped)).toBe(SENT);
});
const logs = ({ messages }: Client): Client["messages"] => messages.filter(({ type }) => type === "log");

test("a client that asks and never reads is not heard until it does", async () => {
  const url = await start({ bufferedBytes: 64 * 1024 });
  let asked = 0;
  const stats = { ...monitor.queue(), processing_task: "x".repeat(5_000) };
  monitor.queue = () => {
    asked += 1;
    return stats;
  };
  const { socket } = await open(url);
  socket.pause();
  // More than one read of a connection brings.
  const ASKED = 10_000;
  for (let index = 0; index < ASKED; index++) socket.send('{"type":"get_queue_stats"}');
  let before = -1;
  await eventually("it is not heard", async () => {
    const stands = asked > 0 && asked === before;
    before = asked;
    await new Promise((resolve) => setTimeout(resolve, 50));
    return stands;
  });
  expect(asked).toBeLessThan(ASKED);
  socket.resume();
  await eventually("all is answered", () => asked === ASKED);
});

test("a client that asks a lot at once is heard in turn with everybody else", async () => {
  const url = await start();
  const { socket, messages } = await open(url);
  let heard = 0;
  let most = 0;
  vi.spyOn(monitor, "queue").mockImplementation(() => {
    if (++heard === 1)
      setImmediate(() => {
        most = Math.max(most, heard);
        heard = 0;
      });
    return { queue_size: 0, processing_task: null, processing_tasks: [], recent_logs_count: 0 };
  });
  for (let index = 0; index < 200; index++) socket.send('{"type": "get_queue_stats"}');
  await eventually("all are answered", () => messages.length > 200);
  // A callback of one turn may meet the message of the next.
  expect(most).toBeLessThanOrEqual(2);
});

test("a daemon that stops says so", async () => {
  const url = await start();
  const { closed } = await open(url);
  await gateway.gateway.close();
  expect(await closed).toEqual({ code: 1001, reason: "the daemon is stopping" });
});

/** What comes first on a connection that the text is written to. */
const raw = (text: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connect(gateway.port, "127.0.0.1", () => socket.write(text));
    socket.once("error", reject);
    socket.once("data", (data) => {
      socket.destroy();
      resolve(String(data));
    });
  });
