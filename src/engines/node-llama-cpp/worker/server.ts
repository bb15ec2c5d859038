import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type ModelKind, modelKinds } from "../../../core/model.ts";
import type { Output } from "./completions.ts";
import type { WorkerConfig } from "./config.ts";
import { invalid, SurfaceError, unsupported } from "./errors.ts";
import { type Body, isObject } from "./fields.ts";
import type { LoadedModel } from "./model.ts";
import type { Slot } from "./slots.ts";
import { countTokens, detokenize, tokenize } from "./vocabulary.ts";

/** The routes that need the weights. They are loaded with them, so that the socket answers from the first moment. */
export interface Serving {
  readonly loaded: LoadedModel;
  readonly complete: typeof import("./completions.ts").complete;
  readonly embeddingsResponse: typeof import("./embeddings.ts").embeddingsResponse;
  readonly rankingResponse: typeof import("./ranking.ts").rankingResponse;
}

interface Call {
  readonly body: Body;
  /** Prompts of different scopes share nothing that is cached. */
  readonly scope: string;
  readonly signal: AbortSignal;
  readonly response: ServerResponse;
}

type Route = (serving: Serving, call: Call) => Promise<void> | void;

/** llama-server's HTTP interface, as far as Assistant uses it; see docs/engines.md. */
export function createSurface(
  config: WorkerConfig,
  serving: () => Serving | null,
  log: (line: string) => void,
): Server {
  const routes = table(config, log);
  // A client that shuts down its side after sending a request has disconnected: Node ends such connections
  // automatically.
  const server = createServer((request, response) => void handle(routes, serving, request, response, log));
  Object.assign(server, { requestTimeout: 0, headersTimeout: 0, timeout: 0, keepAliveTimeout: 5000 });
  return server;
}

async function handle(
  routes: ReadonlyMap<string, Route>,
  serving: () => Serving | null,
  request: IncomingMessage,
  response: ServerResponse,
  log: (line: string) => void,
): Promise<void> {
  const left = new AbortController();
  const leave = (): void => left.abort(new Error("the client has left"));
  response.once("close", leave);
  request.socket.once("end", leave);
  try {
    const path = (request.url ?? "/").split("?", 1)[0]?.replace(/^\/v1(?=\/)/u, "") ?? "/";
    const current = serving();
    if (!current) throw new SurfaceError(503, "unavailable_error", "Loading model");
    if (path === "/health" && request.method === "GET") return json(response, { status: "ok" });
    const route = routes.get(`${request.method} ${path}`);
    if (!route) throw new SurfaceError(404, "not_found_error", "File Not Found");
    const body = request.method === "POST" ? await readBody(request) : {};
    const scope = String(request.headers["x-cache-scope"] ?? "");
    await route(current, { body, scope, signal: left.signal, response });
  } catch (error) {
    if (!left.signal.aborted) fail(response, error, log);
  } finally {
    request.socket.off("end", leave);
  }
}

function fail(response: ServerResponse, error: unknown, log: (line: string) => void): void {
  const known =
    error instanceof SurfaceError
      ? error
      : new SurfaceError(500, "server_error", error instanceof Error ? error.message : String(error));
  if (known.type === "server_error")
    log(`error: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  if (response.headersSent) response.end(`data: ${JSON.stringify(known.body)}\n\n`);
  else json(response, known.body, known.status);
}

function table(config: WorkerConfig, log: (line: string) => void): ReadonlyMap<string, Route> {
  const chatOnly = (): void => {
    if (config.kind !== "chat") throw notServed(config, "chat");
  };
  const generating =
    (dialect: "chat" | "text"): Route =>
    ({ loaded, complete }, { body, scope, signal, response }) => {
      chatOnly();
      return complete(loaded, dialect, body, scope, signal, outputTo(response), log);
    };
  return new Map<string, Route>([
    [
      "GET /slots",
      ({ loaded }, { response }) =>
        json(
          response,
          loaded.slots.all.map((slot) => slotBody(slot, loaded.evaluation.contextTokens)),
        ),
    ],
    ["GET /props", ({ loaded }, { response }) => json(response, props(loaded))],
    ["GET /models", ({ loaded }, { response }) => json(response, models(loaded))],
    ["GET /lora-adapters", ({ loaded }, { response }) => json(response, adapters(loaded))],
    ["POST /tokenize", ({ loaded }, { body, response }) => json(response, tokenize(loaded, body))],
    ["POST /detokenize", ({ loaded }, { body, response }) => json(response, detokenize(loaded, body))],
    [
      "POST /chat/completions/input_tokens",
      ({ loaded }, { body, response }) => {
        chatOnly();
        json(response, countTokens(loaded, body));
      },
    ],
    ...["/completion", "/infill"].map((path): [string, Route] => [
      `POST ${path}`,
      () => {
        throw unsupported(`\`${path}\``);
      },
    ]),
    [
      "POST /apply-template",
      ({ loaded }, { body, response }) => {
        chatOnly();
        json(response, { prompt: loaded.prompts.render(body) });
      },
    ],
    ["POST /chat/completions", generating("chat")],
    ["POST /completions", generating("text")],
    ["POST /embeddings", embeddings],
    ["POST /rerank", ranking],
  ]);
}

const embeddings: Route = async ({ loaded, embeddingsResponse }, { body, signal, response }) => {
  const { embedder, config, slots } = loaded;
  if (!embedder) throw notServed(config, "embedding");
  using held = await slots.acquire([], signal);
  json(response, await embeddingsResponse(embedder, body, held, config.modelName, signal));
};

const ranking: Route = async ({ loaded, rankingResponse }, { body, signal, response }) => {
  const { ranker, config, slots } = loaded;
  if (!ranker) throw notServed(config, "rerank");
  using held = await slots.acquire([], signal);
  json(response, await rankingResponse(ranker, body, held, config.modelName, signal));
};

const notServed = ({ kind }: WorkerConfig, asked: ModelKind): SurfaceError =>
  new SurfaceError(
    501,
    "not_supported_error",
    `This instance serves ${modelKinds[kind].noun}, which does not ${modelKinds[asked].verb}.`,
  );

/** In llama-server's format, so that one parser handles both. */
function slotBody({ id, busy, work }: Slot, contextTokens: number): object {
  const base = { id, n_ctx: contextTokens, speculative: false, is_processing: busy };
  if (!work) return base;
  return {
    ...base,
    ...{
      id_task: work.task,
      n_prompt_tokens: work.promptTokens,
      n_prompt_tokens_processed: work.promptProcessed,
      n_prompt_tokens_cache: work.promptCached,
    },
    next_token: [{ has_next_token: busy, n_decoded: work.decoded }],
  };
}

const adapters = ({ config }: LoadedModel): object => config.lora.map(({ path, scale }, id) => ({ id, path, scale }));

function props({ config, evaluation, prompts, llama }: LoadedModel): object {
  const { sampling } = config;
  return {
    default_generation_settings: {
      params: { ...sampling, n_predict: sampling.maxTokens },
      n_ctx: evaluation.contextTokens,
    },
    ...{ total_slots: config.slots, model_alias: config.modelName, model_path: config.modelPath },
    modalities: { vision: false, video: false, audio: false },
    chat_template_caps: { supports_tools: prompts.tools !== null },
    ...{ endpoint_slots: true, endpoint_props: false, endpoint_metrics: false },
    ...{
      chat_template: prompts.templateText,
      build_info: `node-llama-cpp (llama.cpp ${llama.llamaCppRelease.release})`,
    },
  };
}

function models({ config, model, evaluation }: LoadedModel): object {
  const meta = {
    n_ctx: evaluation.contextTokens,
    n_ctx_train: model.trainContextSize,
    n_embd: model.embeddingVectorSize,
    size: model.size,
  };
  return {
    object: "list",
    data: [
      {
        id: config.modelName,
        object: "model",
        created: Math.floor(Date.now() / 1000),
        owned_by: "node-llama-cpp",
        meta,
      },
    ],
  };
}

async function readBody(request: IncomingMessage): Promise<Body> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString("utf8");
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (error) {
    throw invalid(
      text === ""
        ? "The request has no body; a JSON object was expected"
        : `The body is not JSON: ${(error as Error).message}`,
    );
  }
  if (!isObject(body)) throw invalid("The body must be a JSON object");
  return body;
}

function json(response: ServerResponse, body: object, status = 200): void {
  const text = JSON.stringify(body);
  response
    .writeHead(status, { "content-type": "application/json; charset=utf-8", "content-length": Buffer.byteLength(text) })
    .end(text);
}

function outputTo(response: ServerResponse): Output {
  return {
    json: (body) => json(response, body),
    event(...data) {
      if (!response.headersSent)
        response.writeHead(200, {
          "content-type": "text/event-stream",
          "cache-control": "no-cache",
          "x-accel-buffering": "no",
        });
      const took = response.write(data.map((item) => `data: ${JSON.stringify(item)}\n\n`).join(""));
      return took ? undefined : drained(response);
    },
    done: () => void response.end("data: [DONE]\n\n"),
  };
}

const drained = (response: ServerResponse): Promise<void> =>
  new Promise((resolve) => {
    const go = (): void => {
      response.off("drain", go);
      response.off("close", go);
      resolve();
    };
    response.on("drain", go);
    response.on("close", go);
  });
