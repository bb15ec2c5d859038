import { type IncomingMessage, request } from "node:http";

/** Where a chat can be asked for: a port, or an engine's own socket. */
export type Target = { readonly port: number } | { readonly socketPath: string };

/** What one client saw. Times are milliseconds from the clock's own beginning (`performance.now`). */
export interface Seen {
  readonly status: number;
  /** Of every token. */
  readonly tokenTimes: number[];
  content: string;
  /** A finish reason and `[DONE]` came, or a whole JSON answer. */
  complete: boolean;
  /** An error that the server stated, or how the connection broke. */
  error: string | null;
  promptTokens: number;
  cachedTokens: number;
  completionTokens: number;
  promptMs: number;
  readonly endedAt: number;
}

interface Chunk {
  readonly choices?: readonly {
    readonly delta?: { readonly content?: string | null };
    readonly message?: { readonly content?: string };
    readonly finish_reason?: string | null;
  }[];
  readonly usage?: {
    readonly prompt_tokens: number;
    readonly completion_tokens: number;
    readonly prompt_tokens_details?: { readonly cached_tokens: number };
  };
  readonly timings?: { readonly prompt_ms: number };
  readonly error?: { readonly message?: string; readonly code?: unknown };
}

export interface StreamOptions {
  readonly key?: string;
  /** Leaves then. */
  readonly signal?: AbortSignal;
}

/** Sends a chat request and reads its answer to the end, however it ends: never rejects. */
export function streamChat(target: Target, body: Buffer | string, { key, signal }: StreamOptions = {}): Promise<Seen> {
  return new Promise((resolve) => {
    const seen: Seen = {
      status: 0,
      tokenTimes: [],
      content: "",
      complete: false,
      error: null,
      promptTokens: 0,
      cachedTokens: 0,
      completionTokens: 0,
      promptMs: 0,
      endedAt: 0,
    };
    let settled = false;
    const end = (error: string | null): void => {
      if (settled) return;
      settled = true;
      resolve({ ...seen, error: seen.error ?? error, endedAt: performance.now() });
    };
    const outgoing = request({
      host: "127.0.0.1",
      ...target,
      path: "/v1/chat/completions",
      method: "POST",
      agent: false,
      ...(signal ? { signal } : {}),
      headers: {
        "content-type": "application/json",
        "content-length": Buffer.byteLength(body),
        ...(key ? { authorization: `Bearer ${key}` } : {}),
      },
    });
    outgoing.on("error", (error) => end(error.message));
    outgoing.on("response", (answer) => read(answer, seen, end));
    outgoing.end(body);
  });
}

function read(answer: IncomingMessage, seen: Seen, end: (error: string | null) => void): void {
  (seen as { status: number }).status = answer.statusCode ?? 0;
  const events = String(answer.headers["content-type"]).startsWith("text/event-stream");
  let text = "";
  let finished = false;
  const take = (line: string): void => {
    if (line === "data: [DONE]") {
      seen.complete = finished;
      return;
    }
    if (!line.startsWith("data: ")) return;
    finished = merge(JSON.parse(line.slice(6)) as Chunk, seen) || finished;
  };
  answer.setEncoding("utf8");
  answer.on("data", (part: string) => {
    text += part;
    if (!events) return;
    const lines = text.split("\n");
    text = lines.pop() ?? "";
    for (const line of lines) if (line !== "") take(line);
  });
  answer.on("error", (error) => end(error.message));
  answer.on("close", () => end(answer.complete ? null : "the connection broke"));
  answer.on("end", () => {
    if (!events) seen.complete = whole(text, seen);
    end(null);
  });
}

/** Whether it says that the answer is over. */
function merge(chunk: Chunk, seen: Seen): boolean {
  const choice = chunk.choices?.[0];
  const content = choice?.delta?.content ?? choice?.message?.content;
  if (typeof content === "string" && content !== "") {
    seen.tokenTimes.push(performance.now());
    seen.content += content;
  }
  if (chunk.usage) {
    seen.promptTokens = chunk.usage.prompt_tokens;
    seen.completionTokens = chunk.usage.completion_tokens;
    seen.cachedTokens = chunk.usage.prompt_tokens_details?.cached_tokens ?? 0;
  }
  if (chunk.timings) seen.promptMs = chunk.timings.prompt_ms;
  if (chunk.error) seen.error = chunk.error.message ?? "an error without a message";
  return typeof choice?.finish_reason === "string";
}

function whole(text: string, seen: Seen): boolean {
  try {
    return merge(JSON.parse(text) as Chunk, seen) && seen.status === 200;
  } catch {
    seen.error = `no JSON: ${text.slice(0, 200)}`;
    return false;
  }
}
