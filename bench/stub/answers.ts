import type { ServerResponse } from "node:http";
import type { Job } from "./engine.ts";
import { answerToken } from "./text.ts";

/** JSON of llama-server's answers, for one request. */
export interface Shape {
  readonly id: string;
  readonly model: string;
  readonly chat: boolean;
  readonly includeUsage: boolean;
  readonly signature: string;
  /** Milliseconds of the clients' time in one of the engine's. */
  readonly scale: number;
}

const head = ({ id, model, chat }: Shape, streamed: boolean): string =>
  `"created":1700000000,"id":"${id}","model":${JSON.stringify(model)},"system_fingerprint":"stub-1","object":"${chat ? `chat.completion${streamed ? ".chunk" : ""}` : "text_completion"}"`;

const event = (json: string): string => `data: ${json}\n\n`;

export const openingEvent = (shape: Shape): string =>
  shape.chat
    ? event(
        `{"choices":[{"finish_reason":null,"index":0,"delta":{"role":"assistant","content":null}}],${head(shape, true)}}`,
      )
    : "";

export function tokenEvent(shape: Shape, index: number): string {
  const text = JSON.stringify(answerToken(shape.signature, index));
  const choice = shape.chat
    ? `{"finish_reason":null,"index":0,"delta":{"content":${text}}}`
    : `{"text":${text},"index":0,"logprobs":null,"finish_reason":null}`;
  return event(`{"choices":[${choice}],${head(shape, true)}}`);
}

/** Finish reason, usage where asked for, timings, [DONE]. */
export function closingEvents(shape: Shape, job: Job, now: number, finish: string): string {
  const figures = `"timings":${timings(shape, job, now)}`;
  const done = "data: [DONE]\n\n";
  if (!shape.chat) {
    const choice = `{"text":"","index":0,"logprobs":null,"finish_reason":"${finish}"}`;
    return event(`{"choices":[${choice}],${head(shape, true)},"usage":${usage(job)},${figures}}`) + done;
  }
  const last = `{"choices":[{"finish_reason":"${finish}","index":0,"delta":{}}],${head(shape, true)}`;
  if (!shape.includeUsage) return event(`${last},${figures}}`) + done;
  return event(`${last}}`) + event(`{"choices":[],${head(shape, true)},"usage":${usage(job)},${figures}}`) + done;
}

export function wholeAnswer(shape: Shape, job: Job, text: string, now: number, finish: string): string {
  const choice = shape.chat
    ? `{"finish_reason":"${finish}","index":0,"message":{"role":"assistant","content":${JSON.stringify(text)}}}`
    : `{"text":${JSON.stringify(text)},"index":0,"logprobs":null,"finish_reason":"${finish}"}`;
  return `{"choices":[${choice}],${head(shape, false)},"usage":${usage(job)},"timings":${timings(shape, job, now)}}`;
}

const usage = (job: Job): string =>
  JSON.stringify({
    completion_tokens: job.decoded,
    prompt_tokens: job.promptTokens,
    total_tokens: job.promptTokens + job.decoded,
    prompt_tokens_details: { cached_tokens: job.cachedTokens },
  });

function timings({ scale }: Shape, job: Job, now: number): string {
  const prompt_n = job.promptTokens - job.cachedTokens;
  const prompt_ms = Math.max(0.001, (job.firstTokenAt - job.startedAt) * scale);
  const predicted_ms = Math.max(0.001, (now - job.firstTokenAt) * scale);
  return JSON.stringify({
    cache_n: job.cachedTokens,
    prompt_n,
    prompt_ms,
    prompt_per_token_ms: prompt_ms / prompt_n,
    prompt_per_second: (prompt_n * 1000) / prompt_ms,
    predicted_n: job.decoded,
    predicted_ms,
    predicted_per_token_ms: predicted_ms / Math.max(1, job.decoded),
    predicted_per_second: (job.decoded * 1000) / predicted_ms,
  });
}

export const slotView = (id: number, job: Job | null, contextTokens: number, heldTokens: number): object => ({
  id,
  n_ctx: contextTokens,
  speculative: false,
  is_processing: job !== null,
  id_task: job === null ? -1 : Math.round(job.startedAt),
  n_prompt_tokens: job === null ? heldTokens : job.promptTokens + job.decoded,
  n_prompt_tokens_processed: job === null ? 0 : job.promptTokens - job.cachedTokens - job.prefillLeft,
  n_prompt_tokens_cache: job?.cachedTokens ?? 0,
  params: {},
  next_token: [
    {
      has_next_token: job !== null,
      has_new_line: false,
      n_remain: job === null ? -1 : job.request.outputTokens - job.decoded,
      n_decoded: job?.decoded ?? 0,
    },
  ],
});

export function sendJson(response: ServerResponse, status: number, body: object | string): void {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  response.writeHead(status, {
    "Content-Type": "application/json; charset=utf-8",
    "Content-Length": Buffer.byteLength(text),
  });
  response.end(text);
}

export const sendError = (
  response: ServerResponse,
  code: number,
  message: string,
  type: string,
  more: object = {},
): void => sendJson(response, code, { error: { code, message, type, ...more } });
