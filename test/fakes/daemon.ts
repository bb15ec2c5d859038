import { appendFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { HandshakeMessage } from "../../src/api/handshake.ts";
import type { DaemonStatus, InstanceStatus } from "../../src/api/status.ts";
import { readEnvironment, variable } from "../../src/config/environment.ts";
import { resolvePaths } from "../../src/config/paths.ts";
import { fakeInstance, fakeStatus } from "./status.ts";

/**
 * A daemon without engines: it keeps the handshake and answers the admin API and chats on the Unix socket, so that
 * the commands can be tested as real processes. Knobs, as environment variables:
 *   FAKE_START        `slow` (1.5 s before it is ready), `fail` (says why), `die` (prints and exits 7)
 *   FAKE_STATUS       file with a DaemonStatus to answer with, instead of one ready instance
 *   FAKE_CHAT         `endless`, `broken` (half an answer), `refused` (context_length_exceeded), `slow` (1.5 s first)
 *   FAKE_RECORD       file to which a line is added per request that changes something, and per chat
 */
// Imported, it would read all of its exports, for which Node.js loads its whole fetch: 40 ms of each start.
const { createServer } = process.getBuiltinModule("node:http");
const env = readEnvironment();
const knob = (name: string): string => variable(env, name) ?? "";
const paths = resolvePaths(env);
const tell = (message: HandshakeMessage): void => void process.send?.(message);
const record = (line: string): void => {
  if (knob("FAKE_RECORD") !== "") appendFileSync(knob("FAKE_RECORD"), `${line}\n`);
};

const startedAt = Date.now();
const logFile = join(paths.logDir, "current.log");
const instance = fakeInstance({
  startedAt,
  readyAt: startedAt,
  logFile: join(paths.logDir, "smollm2@cpu.log"),
  idleStopAt: null,
});
let instances: InstanceStatus[] = [instance];

function status(): DaemonStatus {
  const file = knob("FAKE_STATUS");
  const base =
    file === "" ? fakeStatus({ startedAt, instances }) : (JSON.parse(readFileSync(file, "utf8")) as DaemonStatus);
  return { ...base, now: Date.now(), pid: process.pid, configFile: paths.configFile, dataDir: paths.dataDir, logFile };
}

async function body(request: IncomingMessage): Promise<Record<string, unknown>> {
  let text = "";
  for await (const part of request) text += String(part);
  return text === "" ? {} : (JSON.parse(text) as Record<string, unknown>);
}

const json = (response: ServerResponse, code: number, value: unknown): void =>
  void response.writeHead(code, { "content-type": "application/json" }).end(JSON.stringify(value));
const failure = (response: ServerResponse, code: number, name: string, message: string): void =>
  json(response, code, {
    error: { message, type: "invalid_request_error", param: null, code: name, remedy: "Do something else." },
  });

function actOn(id: string, action: string, response: ServerResponse): void {
  const found = instances.find((entry) => entry.id === id);
  if (found === undefined) {
    failure(response, 404, "instance_not_found", `No instance has the id ${id}.`);
    return;
  }
  record(`${action} ${id}`);
  if (action === "stop") instances = instances.filter((entry) => entry !== found);
  if (action === "pin" || action === "unpin")
    instances = instances.map((entry) => (entry === found ? { ...found, pinned: action === "pin" } : entry));
  json(response, 202, {});
}

async function chat(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const call = await body(request);
  record(`chat ${JSON.stringify(call)}`);
  if (knob("FAKE_CHAT") === "refused")
    return failure(response, 400, "context_length_exceeded", "The prompt has 9000 tokens and the context 4096.");
  if (call["model"] !== "smollm2")
    return failure(response, 404, "model_not_found", `There is no model ${String(call["model"])}.`);
  response.once("close", () => record(response.writableFinished ? "chat end" : "chat left"));
  if (knob("FAKE_CHAT") === "slow") await delay(1500);
  response.writeHead(200, { "content-type": "text/event-stream" });
  const send = (value: unknown): unknown =>
    response.write(`data: ${typeof value === "string" ? value : JSON.stringify(value)}\n\n`);
  const last = (call["messages"] as { content: string }[]).at(-1)?.content ?? "";
  for (let count = 0; ; count++) {
    const words = knob("FAKE_CHAT") === "endless" ? ["again "] : ["You ", "said: ", `${last.replaceAll("\n", "|")}`];
    const word = knob("FAKE_CHAT") === "endless" ? words[0] : words[count];
    if (word === undefined || response.destroyed) break;
    send({ choices: [{ index: 0, delta: { content: word }, finish_reason: null }] });
    await delay(10);
    if (knob("FAKE_CHAT") === "broken" && count === 1) return void response.destroy();
  }
  send({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] });
  send({
    choices: [],
    usage: { prompt_tokens: 20, completion_tokens: 3 },
    timings: { prompt_n: 20, prompt_ms: 100, predicted_n: 3, predicted_ms: 30 },
  });
  send("[DONE]");
  response.end();
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = decodeURIComponent(request.url ?? "");
  if (path === "/admin/status") return json(response, 200, status());
  if (path === "/v1/chat/completions") return chat(request, response);
  if (path.startsWith("/admin/instances/"))
    return actOn(path.slice("/admin/instances/".length), String((await body(request))["action"]), response);
  if (path === "/admin/reload") {
    record("reload");
    return json(response, 200, {
      added: ["fresh"],
      changed: [],
      removed: [],
      unchanged: ["smollm2"],
      restartNeeded: true,
      restartSettings: ["server.http_addr"],
      notices: [],
    });
  }
  if (path === "/admin/shutdown") {
    record(`shutdown ${JSON.stringify(await body(request))}`);
    json(response, 202, {});
    return end();
  }
  failure(response, 404, "route_not_found", `There is no ${path}.`);
}

function end(): void {
  rmSync(paths.adminSocket, { force: true });
  server.close(() => process.exit(0));
  setTimeout(() => process.exit(0), 500);
}

const server = createServer((request, response) => {
  response.setHeader("x-request-id", "fake");
  void answer(request, response);
});
mkdirSync(dirname(paths.adminSocket), { recursive: true, mode: 0o700 });
mkdirSync(paths.logDir, { recursive: true });
if (knob("FAKE_START") === "slow") await delay(1500);
if (knob("FAKE_START") === "die") {
  process.stderr.write("the sky is falling\n");
  process.exit(7);
}
if (knob("FAKE_START") === "fail") {
  tell({
    type: "failed",
    error: {
      code: "address_in_use",
      message: "Another program listens on 127.0.0.1:8080.",
      remedy: "Choose another port.",
    },
  });
  process.exit(1);
}
writeFileSync(
  logFile,
  `${JSON.stringify({ level: 30, time: startedAt, msg: "daemon started", url: "http://127.0.0.1:8080" })}\n`,
);
writeFileSync(instance.logFile, "loading the model\nmodel loaded\n");
process.once("SIGTERM", end);
server.listen(paths.adminSocket, () => tell({ type: "ready", url: "http://127.0.0.1:8080", pid: process.pid }));
