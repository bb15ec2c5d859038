/** A program that speaks llama-server's HTTP surface on a Unix socket and can go wrong in every known way. */
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import { embed, errorBody, tokenId } from "./answers.ts";
import { type CompletionBody, complete, promptTokens, sendJson } from "./inference.ts";
import { readKnobs, withKnobs } from "./knobs.ts";
import { RecordBook } from "./record.ts";
import { describeSlot, SlotPool, tokenize } from "./slots.ts";

// Imported, it would read all of its exports, for which Node.js loads its whole fetch: 40 ms of each start.
const { createServer } = process.getBuiltinModule("node:http");

const read = readKnobs(process.argv.slice(2), process.env["FAKE_ENGINE"]);
let knobs = read.knobs;
const pool = new SlotPool(knobs.slots, knobs.hostCache);
const record = new RecordBook();
const startedAt = performance.now();
let ready = false;

const server = createServer((request, response) => {
  handle(request, response).catch((error: unknown) => {
    if (!response.headersSent) sendJson(response, 500, errorBody(500, String(error), "server_error"));
  });
});

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = (request.url ?? "/").split("?")[0] ?? "/";
  const body = await readBody(request);
  if (path === "/__record") return sendJson(response, 200, record.data);
  if (path === "/__knobs") {
    knobs = withKnobs(knobs, JSON.parse(body) as object);
    pool.held = knobs.hold;
    return sendJson(response, 200, knobs);
  }
  if (path === "/health" && knobs.healthHang) return;
  if (!ready || knobs.loading) return sendJson(response, 503, errorBody(503, "Loading model", "unavailable_error"));
  if (path === "/slots" && knobs.slotsHang) return;
  if (request.method === "GET") return reading(path, response);
  if (/^\/slots\/\d+$/.test(path)) {
    const answer = slotAction(request.url ?? "", body);
    return answer === null ? undefined : sendJson(response, ...answer);
  }
  await posting(path, request, response, body);
}

function reading(path: string, response: ServerResponse): void {
  const model = {
    id: "fake",
    object: "model",
    created: 0,
    owned_by: "llamacpp",
    meta: { n_ctx: knobs.contextTokens, n_embd: 8 },
  };
  const answers: Record<string, unknown> = {
    "/health": { status: "ok" },
    "/slots": pool.slots.map((slot) => describeSlot(slot, knobs.contextTokens)),
    "/props": {
      default_generation_settings: { params: {}, n_ctx: knobs.contextTokens },
      total_slots: knobs.slots,
      model_path: "fake",
      build_info: "fake-1",
    },
    "/v1/models": { object: "list", data: [model] },
  };
  const answer = answers[path];
  if (answer === undefined) sendJson(response, 404, errorBody(404, "File Not Found", "not_found_error"));
  else sendJson(response, 200, answer);
}

/**
 * Saves the words that a slot or the host cache holds, one a line, as llama-server saves its state. Null: it never
 * answers.
 */
function slotAction(url: string, text: string): [status: number, body: object] | null {
  const { pathname, searchParams } = new URL(url, "http://engine");
  const action = searchParams.get("action") ?? "";
  const id = Number(pathname.slice("/slots/".length));
  const slot = pool.slots[id];
  const refusal = (status: number, message: string): [number, object] => [
    status,
    errorBody(status, message, "invalid_request_error"),
  ];
  if (knobs.slotDir === "") return refusal(501, "This server does not support slots action");
  if (knobs.slotSaveHang && action === "save") return null;
  if (action.startsWith("cache-") && knobs.hostCache === 0) return refusal(400, "Invalid action");
  const file = join(knobs.slotDir, (JSON.parse(text) as { filename: string }).filename);
  try {
    if (action.endsWith("save")) {
      const words = (action === "save" ? slot?.cached : pool.savable[id]) ?? [];
      if (words.length > 0) writeFileSync(file, words.join("\n"));
      return [200, { id_slot: id, n_saved: words.length, n_written: words.join("\n").length }];
    }
    const words = readFileSync(file, "utf8").split("\n");
    if (action === "cache-load" && !pool.load(words)) return refusal(503, "There is no room in the prompt cache");
    if (action === "restore" && slot) slot.cached = words;
    return [200, { id_slot: id, n_restored: words.length }];
  } catch (error) {
    return refusal(400, `Unable to save or restore slot: ${String(error)}`);
  }
}

async function posting(path: string, request: IncomingMessage, response: ServerResponse, text: string): Promise<void> {
  let body: Record<string, unknown>;
  try {
    body = JSON.parse(text) as Record<string, unknown>;
  } catch (error) {
    return sendJson(response, 500, errorBody(500, String(error), "server_error"));
  }
  switch (path) {
    case "/v1/chat/completions":
    case "/v1/completions":
      record.arrived(text, request.headers);
      return await complete(
        { request, response, body: body as CompletionBody, kind: path === "/v1/completions" ? "text" : "chat" },
        knobs,
        pool,
        record,
      );
    case "/v1/embeddings":
      record.arrived(text, request.headers);
      return embeddings(response, body);
    case "/tokenize": {
      const words = tokenize(String(body["content"] ?? ""));
      return sendJson(response, 200, { tokens: words.map(tokenId) });
    }
    case "/v1/chat/completions/input_tokens":
      return sendJson(response, 200, { object: "response.input_tokens", input_tokens: promptTokens(body) });
    default:
      return sendJson(response, 404, errorBody(404, "File Not Found", "not_found_error"));
  }
}

function embeddings(response: ServerResponse, body: Record<string, unknown>): void {
  record.began();
  record.ended(false);
  if (knobs.hangBeforeHeaders || knobs.wedged) return;
  if (knobs.failStatus !== null) {
    sendJson(
      response,
      knobs.failStatus,
      errorBody(knobs.failStatus, "the fake engine was told to fail", "server_error"),
    );
    return;
  }
  const inputs = (Array.isArray(body["input"]) ? body["input"] : [body["input"]]).map(String);
  const tokens = inputs.reduce((sum, input) => sum + tokenize(input).length, 0);
  record.completed();
  sendJson(response, 200, {
    model: body["model"] ?? "fake",
    object: "list",
    usage: { prompt_tokens: tokens, total_tokens: tokens },
    data: inputs.map((input, index) => ({ embedding: embed(input), index, object: "embedding" })),
  });
}

async function readBody(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts).toString("utf8");
}

function listen(): void {
  server.on("error", (error) => {
    console.error(`couldn't bind HTTP server socket: ${error.message}`);
    process.exit(1);
  });
  server.listen(read.socket, () => console.error(`main: server is listening on ${read.socket}`));
  setTimeout(() => {
    ready = true;
    console.error(`main: model loaded after ${Math.round(performance.now() - startedAt)} ms`);
  }, knobs.startDelayMs);
}

process.on("SIGTERM", () => {
  if (knobs.ignoreSigterm) return void console.error("SIGTERM ignored");
  console.error("cleaning up before exit...");
  setTimeout(() => process.exit(0), knobs.slowExitMs);
});

if (knobs.holdPipe) spawn("sleep", ["600"], { stdio: ["ignore", "inherit", "inherit"] }).unref();
if (knobs.exitAtStart !== null) {
  console.error(knobs.exitText);
  process.exit(knobs.exitAtStart);
}
if (knobs.socketTaken) {
  console.error("couldn't bind HTTP server socket, hostname: fake");
  process.exit(1);
}
setTimeout(listen, knobs.listenDelayMs);
