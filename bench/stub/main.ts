/**
 * A stub engine behind llama-server's command line, so that a real daemon runs it: it computes nothing and takes as
 * long as a calibrated model says. Its answers are the signature of the prompt and numbers. Settings lie beside the
 * weights (`MODEL.gguf.stub.json`), since engines inherit next to nothing of an environment; every launch adds a line
 * to
 * `MODEL.gguf.launches`.
 */
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { readServerArguments } from "../../test/fakes/llama-server/arguments.ts";
import { seededRandom } from "../../test/support/random.ts";
import { sendError, sendJson, slotView } from "./answers.ts";
import { type CompletionBody, Completions } from "./completions.ts";
import { newRecord } from "./record.ts";
import { readOptions } from "./settings.ts";

const argv = process.argv.slice(2);
if (argv.includes("--version")) {
  console.error("version: 0 (stub)");
  process.exit(0);
}
if (argv.includes("--list-devices")) {
  console.log("Available devices:");
  process.exit(0);
}

const { socketPath, modelPath, slots, contextTokens } = readServerArguments(argv);
const numberOf = (flag: string, otherwise: number): number =>
  argv.includes(flag) ? Number(argv[argv.indexOf(flag) + 1]) : otherwise;
const launches = `${modelPath}.launches`;
const earlier = existsSync(launches) ? readFileSync(launches, "utf8").trimEnd().split("\n").length : 0;
appendFileSync(launches, `${JSON.stringify({ pid: process.pid, argv })}\n`);

const options = readOptions(modelPath);
const record = newRecord(process.pid);
// Another launch meets other noise and other faults: a request that is tried again must not fail for ever.
const random = seededRandom(options.seed + 7919 * earlier);
const hostCacheTokens = Math.floor(
  (Math.max(0, numberOf("--cache-ram", 0)) * 2 ** 20) / options.parameters.kvBytesPerToken,
);
const completions = new Completions({
  options,
  random,
  record,
  slots,
  contextTokens,
  batchTokens: numberOf("--batch-size", 2048),
  hostCacheTokens,
});
const loadMs = (options.weightsBytes / options.parameters.loadBytesPerSecond / options.speed) * 1000;
let ready = false;

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = (request.url ?? "/").split("?")[0] ?? "/";
  if (path === "/__record") return sendJson(response, 200, record);
  if (!ready) return sendError(response, 503, "Loading model", "unavailable_error");
  if (request.method === "GET") return look(path, response);
  if (path !== "/v1/chat/completions" && path !== "/v1/completions")
    return sendError(response, 501, "the stub does not do this", "not_supported_error");
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  completions.serve(
    JSON.parse(Buffer.concat(parts).toString("utf8")) as CompletionBody,
    path === "/v1/chat/completions",
    String(request.headers["x-cache-scope"] ?? ""),
    response,
  );
}

function look(path: string, response: ServerResponse): void {
  const meta = { n_ctx: contextTokens, n_embd: 8 };
  const { engine } = completions;
  const views: Readonly<Record<string, () => object>> = {
    "/health": () => ({ status: "ok" }),
    "/slots": () => engine.jobs().map((job, id) => slotView(id, job, contextTokens, engine.heldTokens(id))),
    "/props": () => ({
      default_generation_settings: { params: {}, n_ctx: contextTokens },
      total_slots: slots,
      model_path: modelPath,
      build_info: "stub-1",
    }),
    "/v1/models": () => ({
      object: "list",
      data: [{ id: "stub", object: "model", created: 0, owned_by: "llamacpp", meta }],
    }),
  };
  const view = views[path];
  if (view === undefined) sendError(response, 404, "File Not Found", "not_found_error");
  else sendJson(response, 200, view());
}

const server = createServer((request, response) => {
  handle(request, response).catch((error: unknown) => {
    if (!response.headersSent) sendError(response, 500, String(error), "server_error");
  });
});
server.on("error", (error) => {
  console.error(`couldn't bind HTTP server socket: ${error.message}`);
  process.exit(1);
});
server.listen(socketPath, () => console.error(`main: server is listening on ${socketPath}`));
setTimeout(() => {
  ready = true;
  console.error("main: model loaded");
}, loadMs);
process.on("SIGTERM", () => process.exit(0));
