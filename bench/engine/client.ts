import { type IncomingMessage, request } from "node:http";

/** Where a chat can be asked for: a port, or an engine's own socket. */
export type Target = { readonly port: number } | { readonly socketPath: string };

export interface StreamFigures {
  readonly tokens: number;
  readonly firstTokenMs: number;
  readonly totalMs: number;
}

/** A chat request that keeps generating until `maxTokens`. */
export const chatBody = (prompt: string, maxTokens: number, fields: object = {}): object => ({
  model: "bench",
  messages: [{ role: "user", content: prompt }],
  max_tokens: maxTokens,
  temperature: 0,
  ignore_eos: true,
  cache_prompt: false,
  ...fields,
});

/** Opens a request; the answer and the means to leave. */
export function open(
  target: Target,
  path: string,
  body: object | null,
): { readonly answer: Promise<IncomingMessage>; leave(half: boolean): void } {
  const payload = body === null ? null : JSON.stringify(body);
  const outgoing = request({
    host: "127.0.0.1",
    ...target,
    path,
    method: payload === null ? "GET" : "POST",
    agent: false,
    headers:
      payload === null ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(payload) },
  });
  const answer = new Promise<IncomingMessage>((resolve, reject) =>
    outgoing.once("response", resolve).once("error", reject),
  );
  // A request that is left alone on purpose fails; nobody waits for it then.
  answer.catch(() => {});
  outgoing.end(payload ?? undefined);
  return {
    answer,
    leave: (half) => {
      if (half) outgoing.socket?.end();
      else outgoing.destroy();
    },
  };
}

/** The whole text of an answer. */
export async function text(target: Target, path: string, body: object | null = null): Promise<string> {
  const answer = await open(target, path, body).answer;
  answer.setEncoding("utf8");
  let all = "";
  for await (const part of answer) all += part;
  if (answer.statusCode !== 200) throw new Error(`${path} answered ${answer.statusCode}: ${all.slice(0, 300)}`);
  return all;
}

/** Streams one chat to its end. Tokens are the engine's own count. */
export async function stream(
  target: Target,
  prompt: string,
  maxTokens: number,
  model = "bench",
): Promise<StreamFigures> {
  const startedAt = performance.now();
  const answer = await open(
    target,
    "/v1/chat/completions",
    chatBody(prompt, maxTokens, { model, stream: true, stream_options: { include_usage: true } }),
  ).answer;
  answer.setEncoding("utf8");
  let firstTokenMs = Number.NaN;
  let tail = "";
  for await (const part of answer) {
    if (Number.isNaN(firstTokenMs) && String(part).includes("data:")) firstTokenMs = performance.now() - startedAt;
    tail = (tail + String(part)).slice(-4096);
  }
  const tokens = Number(/"completion_tokens":(\d+)/.exec(tail)?.[1]);
  if (answer.statusCode !== 200 || !(tokens > 0)) throw new Error(`no complete stream: ${tail.slice(-300)}`);
  return { tokens, firstTokenMs, totalMs: performance.now() - startedAt };
}
