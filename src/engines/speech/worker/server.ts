import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { invalid, SurfaceError } from "../../node-llama-cpp/worker/errors.ts";
import { type Body, isObject } from "../../node-llama-cpp/worker/fields.ts";
import type { SpeechWorkerConfig } from "./config.ts";
import { SpeechSlots } from "./slots.ts";
import { orderOf, type Speaker, speak } from "./speak.ts";

type Log = (line: string) => void;

/** Longest text that is read at all; what is spoken has its own limit. */
const MAX_BODY_BYTES = 64 * 2 ** 20;

/** The surface of a speech engine: docs/speech.md lists it. `speaker` gives null while the voice is loading. */
export function createSpeechSurface(config: SpeechWorkerConfig, speaker: () => Speaker | null, log: Log): Server {
  const slots = new SpeechSlots(config.slots);
  const server = createServer((request, response) => void handle(request, response, slots, speaker, log));
  Object.assign(server, { requestTimeout: 0, headersTimeout: 0, timeout: 0, keepAliveTimeout: 5000 });
  return server;
}

async function handle(
  request: IncomingMessage,
  response: ServerResponse,
  slots: SpeechSlots,
  speaker: () => Speaker | null,
  log: Log,
): Promise<void> {
  const left = new AbortController();
  const leave = (): void => left.abort(new Error("the client has left"));
  response.once("close", leave);
  request.socket.once("end", leave);
  try {
    const current = speaker();
    if (current === null) throw new SurfaceError(503, "unavailable_error", "Loading model");
    const path = (request.url ?? "/").split("?", 1)[0]?.replace(/^\/v1(?=\/)/u, "") ?? "/";
    switch (`${request.method} ${path}`) {
      case "GET /health":
        return json(response, { status: "ok" });
      case "GET /slots":
        return json(response, slots.all.map(slotBody));
      case "GET /audio/voices":
        return json(response, {
          object: "list",
          data: current.synthesizer.voices.map(({ id, name, language }) => ({ id, name, language })),
        });
      case "POST /audio/speech":
        return await answer(await readBody(request), current, slots, response, left.signal);
      default:
        throw new SurfaceError(404, "not_found_error", "File Not Found");
    }
  } catch (error) {
    if (!left.signal.aborted) fail(response, error, log);
  } finally {
    request.socket.off("end", leave);
  }
}

async function answer(
  body: Body,
  speaker: Speaker,
  slots: SpeechSlots,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  const order = orderOf(body, speaker);
  const slot = await slots.acquire(signal);
  try {
    await speak(order, speaker, response, signal, (samples) => {
      slot.samples += samples;
    });
  } finally {
    slots.release(slot);
  }
}

/** In llama-server's format, with samples for tokens, so that one parser reads the progress of all engines. */
const slotBody = ({ id, busy, samples, task }: SpeechSlots["all"][number]): object => ({
  id,
  is_processing: busy,
  ...(task === 0 ? {} : { id_task: task }),
  n_prompt_tokens_processed: samples,
});

function fail(response: ServerResponse, error: unknown, log: Log): void {
  const message = error instanceof Error ? error.message : String(error);
  const known = error instanceof SurfaceError ? error : new SurfaceError(500, "server_error", message);
  if (known.type === "server_error") log(`error: ${error instanceof Error ? (error.stack ?? message) : message}`);
  // Partial audio followed by an error would still be audio: the broken connection shows that it is incomplete.
  if (response.headersSent) response.destroy();
  else json(response, known.body, known.status);
}

async function readBody(request: IncomingMessage): Promise<Body> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_BODY_BYTES) throw invalid(`The body has more than ${MAX_BODY_BYTES} bytes`);
    chunks.push(chunk);
  }
  let body: unknown;
  try {
    body = JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch (error) {
    throw invalid(`The body is not JSON: ${(error as Error).message}`);
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
