/**
 * A server with OpenAI's API that is not one of llama.cpp's: no slots, no timings, a name of its own for its model, and
 * fields that nobody else knows. On a loopback port or a Unix socket, and able to go wrong:
 *   --port N | --socket PATH   where it listens
 *   --served NAME              the only name it takes as `model`; else 404
 *   --record FILE              a line of JSON for each request but those for its health, and one when it ends
 *   --fault FAULT              see `Fault`
 */
import { spawn } from "node:child_process";
import { appendFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { text } from "node:stream/consumers";

type Fault =
  | "never-listens"
  | "late" // listens after 300 ms, is ready after another 300 ms
  | "dies" // at the first request that is not for its health
  | "ignores-signals"
  | "other-port"
  | "html" // a page, whatever is asked
  | "no-answer" // healthy, and answers nothing else
  | "hands-over" // leaves its port to such a process at the first request that is not for its health, and stays
  | "stranger"; // leaves its port to a process of another group

const argv = process.argv.slice(2);
const option = (name: string): string => (argv.includes(name) ? (argv[argv.indexOf(name) + 1] ?? "") : "");
const fault = option("--fault") as Fault | "";
const served = option("--served");
const record = (fact: object): void => {
  if (option("--record") !== "") appendFileSync(option("--record"), `${JSON.stringify(fact)}\n`);
};

let ready = fault !== "late";

const json = (response: ServerResponse, status: number, value: unknown): void => {
  const body = JSON.stringify(value);
  response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(body) });
  response.end(body);
};

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = request.url ?? "/";
  if (fault === "html") {
    response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><title>It works!</title>");
    return;
  }
  if (path === "/health") {
    response.writeHead(ready ? 200 : 503).end();
    return;
  }
  if (fault === "no-answer") return;
  if (fault === "hands-over") setTimeout(handOver, 100);
  if (fault === "dies") process.kill(process.pid, "SIGKILL");
  const written = await text(request);
  if (path === "/v1/audio/transcriptions")
    return json(response, 200, { text: `heard ${written.includes("RIFF") ? "a recording" : "nothing"}` });
  const body = JSON.parse(written === "" ? "{}" : written) as Record<string, unknown>;
  record({ path, body: written, environment: process.env["FAKE_VALUE"] ?? null, directory: process.cwd() });
  if (served !== "" && body["model"] !== served) {
    const message = `The model \`${String(body["model"])}\` does not exist.`;
    return json(response, 404, { object: "error", message, type: "NotFoundError", param: null, code: 404 });
  }
  if (body["refuse"] === true)
    return json(response, 422, { detail: [{ loc: ["body", "refuse"], msg: "Input should be false", type: "value" }] });
  const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };
  if (path === "/v1/chat/completions" && body["stream"] === true) return events(response, body);
  const answers: Record<string, unknown> = {
    "/v1/chat/completions": {
      ...{ id: "chat-1", object: "chat.completion", created: 1, model: served || "any" },
      choices: [{ index: 0, message: { role: "assistant", content: "Hello there" }, finish_reason: "stop" }],
      usage,
    },
    "/v1/completions": {
      ...{ id: "cmpl-1", object: "text_completion", created: 1, model: served || "any" },
      choices: [{ index: 0, text: "three", finish_reason: "length" }],
      usage,
    },
    "/v1/embeddings": { object: "list", data: [{ index: 0, object: "embedding", embedding: [0.6, 0.8] }], usage },
    "/v1/rerank": { id: "rerank-1", results: [{ index: 0, relevance_score: 0.5, document: { text: "as it is" } }] },
    "/v1/images/generations": { created: 1, data: [{ b64_json: "iVBORw0KGgo=" }] },
    "/v1/score": { id: "score-1", object: "list", data: [{ index: 0, object: "score", score: 0.25 }] },
  };
  const answer = answers[path];
  if (answer === undefined) json(response, 404, { detail: "Not Found" });
  else json(response, 200, answer);
}

function events(response: ServerResponse, body: Record<string, unknown>): void {
  response.writeHead(200, { "content-type": "text/event-stream" });
  const send = (value: unknown): void =>
    void response.write(`data: ${typeof value === "string" ? value : JSON.stringify(value)}\n\n`);
  for (const content of ["Hello", " there"])
    send({ id: "chat-1", object: "chat.completion.chunk", choices: [{ index: 0, delta: { content } }] });
  send({ id: "chat-1", choices: [{ index: 0, delta: {}, finish_reason: "stop" }] });
  const options = body["stream_options"] as { include_usage?: boolean } | undefined;
  if (options?.include_usage === true)
    send({ id: "chat-1", choices: [], usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 } });
  send("[DONE]");
  response.end();
}

/** To a process of another group, which listens there in place of this one. */
function stranger(): void {
  const args = argv.filter((argument) => argument !== fault && argument !== "--fault");
  const other = spawn(process.execPath, [import.meta.filename, ...args], { detached: true, stdio: "ignore" });
  record({ stranger: other.pid });
}

function handOver(): void {
  server?.close();
  server?.closeAllConnections();
  server = null;
  stranger();
}

let server: Server | null = null;

function listen(): void {
  server = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => json(response, 500, { detail: String(error) }));
  });
  server.on("error", (error) => {
    console.error(`cannot listen: ${error.message}`);
    process.exit(1);
  });
  const port = Number(option("--port"));
  if (option("--socket") !== "") server.listen(option("--socket"));
  else server.listen(fault === "other-port" ? 0 : port, "127.0.0.1");
  server.once("listening", () => console.error("listening"));
}

for (const signal of ["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP"] as const)
  process.on(signal, () => {
    record({ signal });
    if (fault !== "ignores-signals") process.exit(0);
  });

if (fault === "never-listens") setInterval(() => {}, 60_000);
else if (fault === "stranger") {
  // What another program does that is quicker.
  stranger();
  setInterval(() => {}, 60_000);
} else if (fault === "late") {
  setTimeout(listen, 300);
  setTimeout(() => {
    ready = true;
  }, 600);
} else listen();
