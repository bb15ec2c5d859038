import type { ServerResponse } from "node:http";
import { closingEvents, openingEvent, type Shape, sendError, sendJson, tokenEvent, wholeAnswer } from "./answers.ts";
import { type Job, StubEngine } from "./engine.ts";
import { type FaultName, faultOf } from "./faults.ts";
import type { StubRecord } from "./record.ts";
import type { StubOptions } from "./settings.ts";
import { answerToken, type PromptBody, renderPrompt, signatureOf } from "./text.ts";

export interface CompletionBody extends PromptBody {
  readonly model?: string;
  readonly stream?: boolean;
  readonly stream_options?: { readonly include_usage?: boolean };
  readonly max_tokens?: number;
  readonly max_completion_tokens?: number;
  readonly id_slot?: number;
  readonly cache_prompt?: boolean;
}

export interface CompletionsOptions {
  readonly options: StubOptions;
  readonly random: () => number;
  readonly record: StubRecord;
  readonly slots: number;
  readonly contextTokens: number;
  readonly batchTokens: number;
  readonly hostCacheTokens: number;
}

interface Call {
  readonly response: ServerResponse;
  readonly shape: Shape;
  readonly streamed: boolean;
  readonly finish: string;
  /** Token before which it happens. */
  readonly fault: { readonly name: FaultName; readonly at: number } | null;
}

const LATE_MS = 10;
/** Later than this, the machine was asleep or overwhelmed: the next step begins now instead of hurrying after. */
const TOO_LATE_MS = 50;

/** Runs the engine on the real clock and writes its answers. */
export class Completions {
  readonly engine: StubEngine;
  readonly #given: CompletionsOptions;
  readonly #calls = new Map<Job, Call>();
  #timer: NodeJS.Timeout | null = null;
  #served = 0;
  /** No step ends any more, as when a driver hangs; health and slots still answer. */
  #stalled = false;

  constructor(given: CompletionsOptions) {
    const { options, slots, batchTokens, hostCacheTokens, random } = given;
    this.#given = given;
    this.engine = new StubEngine({
      parameters: options.parameters,
      slots,
      batchTokens,
      hostCacheTokens,
      random,
      noise: options.noise,
    });
  }

  /** Prompts of different scopes share nothing: a different token begins them. */
  serve(body: CompletionBody, chat: boolean, scope: string, response: ServerResponse): void {
    const { options, random, record, contextTokens } = this.#given;
    record.requests += 1;
    const text = renderPrompt(body);
    const prompt = Buffer.from(`${scope.slice(0, 4)}${text}`);
    const tokens = this.engine.tokensOf(prompt.length);
    const asked = body.max_tokens ?? body.max_completion_tokens ?? -1;
    // Its own length is one of the prompt, so that a run says the same every time.
    const signature = signatureOf(text);
    const own = 1 + (Number.parseInt(signature.slice(0, 6), 16) % (2 * options.answerTokens));
    const outputTokens = Math.max(1, Math.min(asked < 0 ? own : asked, contextTokens - tokens));
    // The daemon's own probes ask for one token; a fault there would be a failed start, and not a lost answer.
    const fault = asked === 1 ? null : faultOf(options.faults, random());
    if (refused(response, fault, tokens, contextTokens)) return;
    const answerText = (count: number): string =>
      Array.from({ length: count }, (_, index) => answerToken(signature, index)).join("");
    const slot = body.id_slot !== undefined && body.id_slot >= 0 ? body.id_slot : null;
    const job = this.engine.admit(
      { prompt, outputTokens, slot, reuse: body.cache_prompt !== false, answerText },
      this.#now(),
    );
    const shape: Shape = {
      id: `chatcmpl-${process.pid}-${++this.#served}`,
      model: body.model ?? "stub",
      chat,
      includeUsage: body.stream_options?.include_usage === true,
      signature,
      scale: 1 / options.speed,
    };
    const at = fault === "dieEarly" ? 0 : Math.floor(random() * outputTokens);
    const finish = asked >= 0 && outputTokens === asked ? "length" : "stop";
    this.#calls.set(job, {
      response,
      shape,
      streamed: body.stream === true,
      finish,
      fault: fault === null ? null : { name: fault, at },
    });
    record.inFlight += 1;
    record.maxConcurrent = Math.max(record.maxConcurrent, this.engine.active);
    response.on("close", () => this.#closed(job, response.writableFinished));
    this.#arm();
  }

  /** The engine's own time: the faster the stub, the faster it goes. */
  #now(): number {
    return performance.now() * this.#given.options.speed;
  }

  #arm(): void {
    const next = this.engine.nextAt;
    if (this.#stalled || this.#timer !== null || next === null) return;
    const waitMs = (next - this.#now()) / this.#given.options.speed;
    this.#timer = setTimeout(() => this.#run(), Math.max(0, waitMs));
  }

  #run(): void {
    const { record, options } = this.#given;
    this.#timer = null;
    for (
      let next = this.engine.nextAt;
      !this.#stalled && next !== null && next <= this.#now();
      next = this.engine.nextAt
    ) {
      const lateMs = (this.#now() - next) / options.speed;
      record.steps += 1;
      if (lateMs > LATE_MS) record.lateSteps += 1;
      record.latestMs = Math.max(record.latestMs, lateMs);
      for (const job of this.engine.advance(lateMs > TOO_LATE_MS ? this.#now() : next)) {
        this.#token(job);
        if (this.#stalled) break;
      }
    }
    this.#arm();
  }

  #token(job: Job): void {
    const call = this.#calls.get(job);
    if (call === undefined) return;
    const { response, shape, streamed, fault } = call;
    const { record } = this.#given;
    const index = job.decoded - 1;
    if (fault !== null && index >= fault.at) {
      if (fault.name === "die" || fault.name === "dieEarly") process.kill(process.pid, "SIGKILL");
      if (fault.name === "reset") return void response.socket?.resetAndDestroy();
      if (fault.name === "stall") this.#stalled = true;
    }
    record.tokens += 1;
    if (index === 0) {
      record.prefillTokens += job.promptTokens - job.cachedTokens;
      record.cachedTokens += job.cachedTokens;
    }
    const last = job.decoded >= job.request.outputTokens;
    const now = this.#now();
    if (!streamed) {
      if (last) sendJson(response, 200, wholeAnswer(shape, job, job.request.answerText(job.decoded), now, call.finish));
      return;
    }
    if (index === 0) response.writeHead(200, { "Content-Type": "text/event-stream" });
    const event = (index === 0 ? openingEvent(shape) : "") + tokenEvent(shape, index);
    if (last) response.end(event + closingEvents(shape, job, now, call.finish));
    else response.write(event);
  }

  #closed(job: Job, finished: boolean): void {
    const { record } = this.#given;
    if (!this.#calls.delete(job)) return;
    record.inFlight -= 1;
    if (finished) record.completed += 1;
    else {
      record.aborted += 1;
      this.engine.leave(job);
    }
  }
}

/** Whether the request was answered with an error before anything was computed. */
function refused(response: ServerResponse, fault: FaultName | null, tokens: number, contextTokens: number): boolean {
  if (fault === "error") sendError(response, 500, "the stub was told to fail", "server_error");
  else if (fault === "busy") sendError(response, 429, "the stub was told to be busy", "rate_limit_error");
  else if (tokens >= contextTokens) {
    const message = `request (${tokens} tokens) exceeds the available context size (${contextTokens} tokens), try increasing it`;
    sendError(response, 400, message, "exceed_context_size_error", { n_prompt_tokens: tokens, n_ctx: contextTokens });
  } else return false;
  return true;
}
