import { createParser } from "eventsource-parser";
import { AssistantError } from "../core/errors.ts";
import { valueAt } from "./path.ts";

/** A request to a service that a stage depends on. */
export interface ServiceRequest {
  /** What messages call it: "Dify". */
  readonly service: string;
  readonly url: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** JSON. */
  readonly body?: unknown;
  /** Longest silence, before the answer and within it. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** Largest answer that is taken whole. */
const MAX_BYTES = 64 * 2 ** 20;
const MAX_ERROR_CHARACTERS = 300;

/** Sends a request, and hands its answer over as bytes come. Rejects with `stage_failed` that names the service. */
export async function* bytesFrom(request: ServiceRequest): AsyncGenerator<Uint8Array> {
  const silence = new Silence(request);
  try {
    const response = await fetch(request.url, {
      method: request.method ?? "POST",
      headers: { ...(request.body === undefined ? {} : { "content-type": "application/json" }), ...request.headers },
      ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
      signal: silence.signal,
    });
    if (!response.ok) throw await refusalOf(request, response);
    for await (const bytes of response.body ?? []) {
      silence.broken();
      yield bytes;
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
  const events = createParser({ onEvent: ({ data }) => void texts.push(data) });
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
    if (line.length > MAX_BYTES) throw failed(request, "sent a line that does not end");
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
  const text = (await response.text().catch(() => "")).slice(0, MAX_ERROR_CHARACTERS);
  let said: unknown = text;
  try {
    const json: unknown = JSON.parse(text);
    said = valueAt(json, "message") ?? valueAt(json, "error.message") ?? valueAt(json, "detail") ?? text;
  } catch {}
  return failed(
    request,
    `answered with status ${response.status}: ${typeof said === "string" ? said : JSON.stringify(said)}`,
  );
}

/** Ends a request that brings nothing for too long, or that nobody waits for. */
class Silence implements Disposable {
  readonly #request: ServiceRequest;
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #gone: () => void;
  #isOver = false;

  constructor(request: ServiceRequest) {
    this.#request = request;
    this.#gone = () => this.#controller.abort(request.signal.reason);
    if (request.signal.aborted) this.#gone();
    else request.signal.addEventListener("abort", this.#gone, { once: true });
    this.#timer = setTimeout(() => {
      this.#isOver = true;
      this.#controller.abort();
    }, request.timeoutMs);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  broken(): void {
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
  try {
    await (await fetch(url, { signal: AbortSignal.timeout(HEARTBEAT_MS) })).body?.cancel();
  } catch (error) {
    const { cause, message } = error as Error;
    throw failed({ service }, `does not answer: ${cause instanceof Error ? cause.message : message}`, error);
  }
}
const HEARTBEAT_MS = 5_000;
