import { randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import {
  type Answer,
  closingChunks,
  errorBody,
  type Kind,
  openingChunk,
  progressChunk,
  tokenChunk,
  tokenText,
  wholeAnswer,
} from "./answers.ts";
import { type Knobs, knobsForPrompt } from "./knobs.ts";
import type { RecordBook } from "./record.ts";
import { delay, prefill, type Slot, type SlotPool, tokenize } from "./slots.ts";

export interface CompletionBody {
  readonly messages?: readonly { role: string; content: unknown }[];
  readonly prompt?: unknown;
  readonly stream?: boolean;
  readonly stream_options?: { include_usage?: boolean };
  readonly max_tokens?: number;
  readonly max_completion_tokens?: number;
  readonly model?: string;
  readonly id_slot?: number;
  readonly return_progress?: boolean;
}

export interface Job {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly body: CompletionBody;
  readonly kind: Kind;
}

const HELD_POLL_MS = 5;

const promptOf = (body: CompletionBody): string =>
  body.messages
    ? body.messages
        .map(
          (message) =>
            `<${message.role}> ${typeof message.content === "string" ? message.content : JSON.stringify(message.content)}`,
        )
        .join("\n")
    : String(body.prompt ?? "");

export const promptTokens = (body: CompletionBody): number => tokenize(promptOf(body)).length;

/** Serves one chat or text completion, faults included. */
export async function complete(job: Job, base: Knobs, pool: SlotPool, record: RecordBook): Promise<void> {
  const { response, body } = job;
  const prompt = promptOf(body);
  const knobs = knobsForPrompt(base, prompt);
  const words = tokenize(prompt);
  const departed = new AbortController();
  response.on("close", () => {
    if (!response.writableFinished) departed.abort();
  });
  record.began();
  try {
    if (knobs.hangBeforeHeaders) return await departure(departed.signal);
    if (knobs.failStatus !== null)
      return sendJson(
        response,
        knobs.failStatus,
        errorBody(knobs.failStatus, `the fake engine was told to fail at: ${words.join(" ")}`, "server_error"),
      );
    if (words.length > knobs.contextTokens) return refuseTooLong(response, words.length, knobs.contextTokens);
    const slot = await pool.take(
      words,
      body.id_slot !== undefined && body.id_slot >= 0 ? body.id_slot : null,
      departed.signal,
    );
    if (!slot) return;
    record.occupied(pool.active);
    try {
      await answerFrom(slot, job, knobs, departed.signal, record, () => pool.held);
    } finally {
      pool.give(slot);
    }
  } finally {
    record.ended(departed.signal.aborted);
  }
}

async function answerFrom(
  slot: Slot,
  job: Job,
  knobs: Knobs,
  departed: AbortSignal,
  record: RecordBook,
  held: () => boolean,
): Promise<void> {
  const { body, response } = job;
  const answer = newAnswer(job);
  slot.maxTokens = limitOf(body, knobs);
  const writes = body.stream === true && knobs.noticesWhenWriting;
  const stop = (): boolean => departed.aborted && (knobs.noticesDisconnects || writes);
  // Without progress events nothing is written during prefill, so that a stock server notices nothing either.
  const stopPrefill = (): boolean =>
    departed.aborted && (knobs.noticesDisconnects || (writes && body.return_progress === true));
  // A wedged engine does not even notice that its client has left.
  if (knobs.wedged) return await new Promise<void>(() => {});
  const progress =
    body.stream === true && body.return_progress === true ? (): void => tellProgress(slot, answer, response) : () => {};
  await prefill(slot, knobs, stopPrefill, progress);
  record.prefilled(slot.promptDone);
  answer.promptMs = performance.now() - answer.startedAt;
  if (stopPrefill() || stop()) return;
  answer.firstTokenAt = performance.now();
  if (body.stream) await stream(slot, answer, response, knobs, departed, stop, record, held);
  else await gather(slot, answer, response, knobs, departed, stop, record);
}

async function stream(
  slot: Slot,
  answer: Answer,
  response: ServerResponse,
  knobs: Knobs,
  departed: AbortSignal,
  stop: () => boolean,
  record: RecordBook,
  held: () => boolean,
): Promise<void> {
  beginStream(response);
  const opening = openingChunk(answer);
  if (opening) await send(response, opening, departed);
  while (slot.decoded < slot.maxTokens && !stop()) {
    await delay(knobs.decodeDelayMs);
    while (held() && slot.decoded > 0 && !stop()) await delay(HELD_POLL_MS);
    if (stop()) return;
    const chunk = tokenChunk(answer, tokenText(slot.decoded, knobs.tokenText));
    slot.decoded++;
    record.token(departed.aborted);
    if (slot.decoded - 1 === knobs.stallAfterTokens) {
      response.write(`data: ${JSON.stringify(chunk).slice(0, 40)}`);
      return await departure(departed);
    }
    await send(response, chunk, departed);
    if (knobs.malformedJson && slot.decoded === 1) response.write('data: {"choices":[{"delta":\n\n');
    fatalities(slot, response, knobs);
  }
  if (stop()) return;
  for (const chunk of closingChunks(answer, slot, finishOf(slot, knobs))) await send(response, chunk, departed);
  await ended(response, "data: [DONE]\n\n");
  record.completed();
}

function beginStream(response: ServerResponse): void {
  if (response.headersSent) return;
  response.writeHead(200, {
    "Content-Type": "text/event-stream",
    "X-Accel-Buffering": "no",
    "Access-Control-Allow-Origin": "",
  });
}

function tellProgress(slot: Slot, answer: Answer, response: ServerResponse): void {
  beginStream(response);
  response.write(`data: ${JSON.stringify(progressChunk(answer, slot))}\n\n`);
}

async function gather(
  slot: Slot,
  answer: Answer,
  response: ServerResponse,
  knobs: Knobs,
  departed: AbortSignal,
  stop: () => boolean,
  record: RecordBook,
): Promise<void> {
  let text = "";
  while (slot.decoded < slot.maxTokens && !stop()) {
    await delay(knobs.decodeDelayMs);
    if (stop()) return;
    text += tokenText(slot.decoded, knobs.tokenText);
    slot.decoded++;
    record.token(departed.aborted);
    fatalities(slot, response, knobs);
  }
  if (stop()) return;
  const json = JSON.stringify(wholeAnswer(answer, slot, text, finishOf(slot, knobs)));
  if (knobs.malformedJson) return sendText(response, 200, json.slice(0, json.length / 2));
  sendText(response, 200, json);
  record.completed();
}

function fatalities(slot: Slot, response: ServerResponse, knobs: Knobs): void {
  if (slot.decoded === knobs.dieAfterTokens) process.kill(process.pid, "SIGKILL");
  if (slot.decoded === knobs.resetAfterTokens) response.socket?.destroy();
}

const newAnswer = (job: Job): Answer => ({
  kind: job.kind,
  id: `chatcmpl-${randomBytes(12).toString("hex")}`,
  created: Math.floor(Date.now() / 1000),
  model: job.body.model ?? "fake",
  includeUsage: job.body.stream_options?.include_usage === true,
  startedAt: performance.now(),
  promptMs: 0,
  firstTokenAt: 0,
});

function limitOf(body: CompletionBody, knobs: Knobs): number {
  const asked = body.max_tokens ?? body.max_completion_tokens ?? -1;
  // A full context ends the answer of a real engine, too.
  return asked < 0 ? knobs.tokens : Math.min(asked, Math.max(knobs.contextTokens, knobs.tokens));
}

/** "length" where the request's own limit ended it, "stop" where the answer was over. */
const finishOf = (slot: Slot, knobs: Knobs): string => (slot.maxTokens === knobs.tokens ? "stop" : "length");

/** Writes one event; waits while the client does not read, unless it has gone. */
async function send(response: ServerResponse, chunk: object, departed: AbortSignal): Promise<void> {
  if (departed.aborted || response.write(`data: ${JSON.stringify(chunk)}\n\n`)) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      response.off("drain", done);
      response.off("close", done);
      resolve();
    };
    response.on("drain", done);
    response.on("close", done);
  });
}

const ended = (response: ServerResponse, last: string): Promise<void> =>
  new Promise((resolve) => {
    response.on("close", resolve);
    response.end(last, resolve);
  });

const departure = (departed: AbortSignal): Promise<void> =>
  new Promise((resolve) => (departed.aborted ? resolve() : departed.addEventListener("abort", () => resolve())));

const refuseTooLong = (response: ServerResponse, tokens: number, context: number): void =>
  sendJson(
    response,
    400,
    errorBody(
      400,
      `request (${tokens} tokens) exceeds the available context size (${context} tokens), try increasing it`,
      "exceed_context_size_error",
      {
        n_prompt_tokens: tokens,
        n_ctx: context,
      },
    ),
  );

export const sendJson = (response: ServerResponse, status: number, value: unknown): void =>
  sendText(response, status, JSON.stringify(value));

function sendText(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, {
    "Content-Type": "application/json; charset=utf-8",
    "Content-Length": Buffer.byteLength(text),
  });
  response.end(text);
}
