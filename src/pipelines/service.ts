import { createParser } from "eventsource-parser";
import type { Agent, Response } from "undici";
import { AssistantError } from "../core/errors.ts";
import { valueAt } from "./path.ts";

/** A request to a service that a stage depends on. */
export interface ServiceRequest {
  /** What messages call it: "Dify". */
  readonly service: string;
  readonly url: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Bytes as they are, anything else as JSON. */
  readonly body?: unknown;
  /** Longest silence, before the answer and within it. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** Largest answer that is taken whole. */
const MAX_BYTES = 64 * 2 ** 20;
/** Largest value of a stream, characters. */
const MAX_VALUE = 16 * 2 ** 20;
/** Of the answer that says why a service refused. */
const MAX_ERROR_BYTES = 64 * 2 ** 10;
const MAX_ERROR_CHARACTERS = 300;

let agent: Promise<Agent> | null = null;
/** Silence is watched here: the library would count the time in which a slow client holds the stage up. */
const agentOf = (): Promise<Agent> => {
  agent ??= import("undici").then(({ Agent }) => new Agent({ headersTimeout: 0, bodyTimeout: 0 }));
  return agent;
};

/** Follows no redirect, which would carry keys elsewhere, or to an address that the pipeline's file does not name. */
async function send({ url, method = "POST", headers, body }: Omit<ServiceRequest, "service">, signal: AbortSignal) {
  const [{ fetch }, dispatcher] = await Promise.all([import("undici"), agentOf()]);
  const isRaw = body instanceof Uint8Array;
  const type = body === undefined ? {} : { "content-type": isRaw ? "application/octet-stream" : "application/json" };
  return await fetch(url, {
    ...{ method, dispatcher, signal, redirect: "manual", headers: { ...type, ...headers } },
    ...(body === undefined ? {} : { body: isRaw ? body : JSON.stringify(body) }),
  });
}

/** Sends a request, and hands its answer over as bytes come. Rejects with `stage_failed` that names the service. */
export async function* bytesFrom(request: ServiceRequest): AsyncGenerator<Uint8Array> {
  const silence = new Silence(request);
  try {
    const response = await send(request, silence.signal);
    if (!response.ok) throw await refusalOf(request, response);
    for await (const bytes of response.body ?? []) {
      silence.pause();
      yield bytes;
      silence.resume();
    }
  } catch (error) {
    throw silence.failureOf(error);
  } finally {
    silence[Symbol.dispose]();
  }
}

/** The whole answer. */
export async function answerFrom(request: ServiceRequest): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const bytes of bytesFrom(request)) {
    length += bytes.length;
    if (length > MAX_BYTES) throw failed(request, `sent more than ${MAX_BYTES / 2 ** 20} MiB`);
    parts.push(bytes);
  }
  return Buffer.concat(parts);
}

/** JSON values of a stream, one in each event or line; `[DONE]` ends none. */
export async function* valuesFrom(request: ServiceRequest, format: "sse" | "ndjson"): AsyncGenerator<unknown> {
  const texts: string[] = [];
  const decoder = new TextDecoder();
  const events = createParser({
    onEvent: ({ data }) => void texts.push(data),
    onError: ({ type }) => {
      if (type === "max-buffer-size-exceeded") throw failed(request, "sent an event that does not end");
    },
    maxBufferSize: MAX_VALUE,
  });
  let line = "";
  for await (const bytes of bytesFrom(request)) {
    const text = decoder.decode(bytes, { stream: true });
    if (format === "sse") events.feed(text);
    else {
      const lines = (line + text).split("\n");
      line = lines.pop() ?? "";
      texts.push(...lines);
    }
    for (const each of texts.splice(0)) if (each.trim() !== "" && each !== "[DONE]") yield jsonFrom(request, each);
    if (line.length > MAX_VALUE) throw failed(request, "sent a line that does not end");
  }
  if (line.trim() !== "") yield jsonFrom(request, line);
}

export function jsonFrom(request: Pick<ServiceRequest, "service">, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw failed(request, "answered with something that is not JSON");
  }
}

export const failed = ({ service }: Pick<ServiceRequest, "service">, what: string, cause?: unknown): AssistantError =>
  new AssistantError("stage_failed", `${service} ${what}.`, cause === undefined ? {} : { cause });

/** What the service itself says, which its owner wants to know. */
async function refusalOf(request: ServiceRequest, response: Response): Promise<AssistantError> {
  const { status, headers } = response;
  const location = headers.get("location");
  if (status >= 300 && status < 400 && location !== null)
    return failed(
      request,
      `answered with a redirect to ${JSON.stringify(location.slice(0, 200))}, which is not followed: use that address in the pipeline's file if it is correct`,
    );
  const text = (await beginningOf(response)).slice(0, MAX_ERROR_CHARACTERS * 10);
  let said: unknown = text;
  try {
    const json: unknown = JSON.parse(text);
    said = valueAt(json, "message") ?? valueAt(json, "error.message") ?? valueAt(json, "detail") ?? text;
  } catch {}
  const reason = typeof said === "string" ? said : JSON.stringify(said);
  return failed(request, `answered with status ${status}: ${reason.slice(0, MAX_ERROR_CHARACTERS)}`);
}

async function beginningOf({ body }: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const bytes of body ?? []) {
    parts.push(bytes);
    length += bytes.length;
    if (length > MAX_ERROR_BYTES) break;
  }
  return Buffer.concat(parts).toString();
}

/** Ends a request that returns nothing for too long, or is no longer needed. */
class Silence implements Disposable {
  readonly #request: ServiceRequest;
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #gone: () => void;
  #isPaused = false;
  #isOver = false;

  constructor(request: ServiceRequest) {
    this.#request = request;
    this.#gone = () => this.#controller.abort(request.signal.reason);
    if (request.signal.aborted) this.#gone();
    else request.signal.addEventListener("abort", this.#gone, { once: true });
    this.#timer = setTimeout(() => {
      if (this.#isPaused) return;
      this.#isOver = true;
      this.#controller.abort();
    }, request.timeoutMs);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** While the stage works on what came, or waits for those behind it. */
  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#timer.refresh();
  }

  failureOf(error: unknown): unknown {
    const { timeoutMs, signal } = this.#request;
    if (this.#isOver) return failed(this.#request, `sent nothing for ${timeoutMs / 1000} s`, error);
    if (signal.aborted || error instanceof AssistantError) return error;
    const { message, cause } = error as Error;
    return failed(this.#request, `cannot be reached: ${cause instanceof Error ? cause.message : message}`, error);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#request.signal.removeEventListener("abort", this.#gone);
    this.#controller.abort();
  }
}

const DEFAULT_TIMEOUT_S = 120;
export const timeoutMsOf = ({ timeout_s: seconds }: { readonly timeout_s?: number }): number =>
  (seconds ?? DEFAULT_TIMEOUT_S) * 1000;

/** Whether anything answers there; a status of any kind will do. Rejects with `stage_failed`. */
export async function requireAnswer(service: string, url: string): Promise<void> {
  const timeoutMs = HEARTBEAT_MS;
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    await (await send({ url, method: "GET", timeoutMs, signal }, signal)).body?.cancel();
  } catch (error) {
    const { cause, message } = error as Error;
    throw failed({ service }, `does not answer: ${cause instanceof Error ? cause.message : message}`, error);
  }
}
const HEARTBEAT_MS = 5_000;

/** Throws `pipeline_invalid` for headers that cannot be sent, without repeating values, which may be secret. */
export function requireHeaders(headers: Readonly<Record<string, string>>, key: string): void {
  for (const [name, value] of Object.entries(headers))
    try {
      new Headers({ [name]: value });
    } catch {
      throw new AssistantError("pipeline_invalid", `The header ${JSON.stringify(name)} (\`${key}\`) cannot be sent.`, {
        param: key,
        remedy: "Names of headers have no spaces, and values no line breaks and nothing but ASCII characters.",
      });
    }
}
