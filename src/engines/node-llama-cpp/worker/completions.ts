import type { Token } from "node-llama-cpp";
import { CallReader } from "./calls.ts";
import { contextExceeded, invalid, unsupported } from "./errors.ts";
import { type Body, flagOf, numberOf, objectOf, textOf, textsOf } from "./fields.ts";
import { type Answer, generate, type Job, type Timings } from "./generate.ts";
import { logprobsOf } from "./logprobs.ts";
import type { LoadedModel } from "./model.ts";
import {
  type Choice,
  chunk,
  completion,
  type Dialect,
  deltaOf,
  type Envelope,
  finishOf,
  newCall,
  newEnvelope,
  OPENING,
  sumTimings,
  timingsBody,
  type Usage,
  usageChunk,
} from "./openai.ts";
import { ContentReader, type Piece } from "./reader.ts";
import { refuseUnsupported, type Sampling, samplingOf } from "./sampling.ts";
import type { HeldSlot } from "./slots.ts";
import { toolsOf } from "./tools.ts";

/** The destination of an answer. The first call fixes the status; after it no error can change it. */
export interface Output {
  json(body: object): void;
  /** One server-sent event. A promise: the client reads more slowly than the model writes. */
  event(...data: readonly object[]): Promise<void> | undefined;
  /** Ends a stream. */
  done(): void;
}

interface Request {
  readonly prompts: readonly Token[][];
  /** Answers per prompt. */
  readonly n: number;
  readonly stream: boolean;
  /** Whether a stream ends with a separate event for the usage. */
  readonly includeUsage: boolean;
  readonly returnProgress: boolean;
  readonly timingsPerToken: boolean;
  /** Whether to say, as llama-server does in its `__verbose`, which text ended the answer. */
  readonly verbose: boolean;
  readonly sampling: Sampling;
  /** Alternatives of each token whose probabilities are wanted; null: no probabilities at all. */
  readonly logprobs: number | null;
  job(prompt: readonly Token[], answer: number): Job;
}

/** Answers `/v1/chat/completions` and `/v1/completions`. Rejects with a SurfaceError, or with the signal's reason. */
export async function complete(
  loaded: LoadedModel,
  dialect: Dialect,
  body: Body,
  scope: string,
  signal: AbortSignal,
  output: Output,
  log: (line: string) => void,
): Promise<void> {
  const request = requestOf(loaded, dialect, body);
  const envelope = newEnvelope(
    dialect,
    textOf(body, "model") ?? loaded.config.modelName,
    `node-llama-cpp-${loaded.llama.llamaCppRelease.release}`,
  );
  const [first = []] = request.prompts;
  using held = await loaded.slots.acquire(first, signal, scope);
  const answers: Made[] = [];
  for (const [promptIndex, prompt] of request.prompts.entries()) {
    for (let i = 0; i < request.n; i++) {
      const index = promptIndex * request.n + i;
      const made = await one(loaded, request, held, envelope, { prompt, index, answer: i }, signal, output);
      answers.push(made);
      log(summary(held, made.answer));
      const isLast = answers.length === request.prompts.length * request.n;
      if (request.stream) await end(envelope, request, index, answers, isLast, output);
    }
  }
  if (request.stream) return;
  const whole = completion(envelope, answers, usageOf(request, answers), totals(answers));
  output.json({ ...whole, ...verboseOf(request, answers.at(-1)) });
}

function requestOf(loaded: LoadedModel, dialect: Dialect, body: Body): Request {
  refuseUnsupported(body);
  const { prompts: reader, config, evaluation } = loaded;
  const prompts = dialect === "chat" ? [reader.tokenize(reader.render(body))] : reader.ofCompletion(body);
  for (const prompt of prompts) {
    if (prompt.length === 0) throw invalid("The prompt is empty");
    if (prompt.length >= evaluation.contextTokens) throw contextExceeded(prompt.length, evaluation.contextTokens);
  }
  const tools = dialect === "chat" ? toolsOf(body) : null;
  if (tools !== null && reader.tools === null) throw unsupported("`tools` with the chat template of this model");
  const sampling = samplingOf(body, tools, loaded);
  const requested =
    numberOf(body, "max_completion_tokens", { integer: true }) ??
    numberOf(body, "max_tokens", { integer: true }) ??
    numberOf(body, "n_predict", { integer: true });
  const maxTokens = requested ?? config.sampling.maxTokens;
  const stop = textsOf(body, "stop") ?? [];
  const stops = [...(stop.length > 0 ? stop : config.sampling.stop), ...sampling.structureStops];
  const ignoreEos = flagOf(body, "ignore_eos") ?? false;
  const cachePrompt = flagOf(body, "cache_prompt") ?? true;
  const logprobs = logprobsOf(dialect, body);
  const streamOptions = objectOf(body, "stream_options");
  const stream = flagOf(body, "stream") ?? false;
  return {
    prompts,
    n: numberOf(body, "n", { min: 1, max: config.slots, integer: true }) ?? 1,
    stream,
    includeUsage: streamOptions !== null && (flagOf(streamOptions, "include_usage") ?? false),
    returnProgress: stream && (flagOf(body, "return_progress") ?? false),
    timingsPerToken: flagOf(body, "timings_per_token") ?? false,
    verbose: flagOf(body, "verbose") ?? false,
    sampling,
    logprobs,
    job(tokens, answer) {
      const calls = tools === null || reader.tools === null ? null : { tools, syntax: reader.tools.syntax };
      const answerReader =
        calls === null
          ? new ContentReader(stops)
          : new CallReader(calls.syntax, {
              ...calls.tools,
              names: calls.tools.functions.map(({ name }) => name),
              stops,
            });
      return {
        ...{ tokens, ignoreEos, cachePrompt, logprobs, reader: answerReader },
        maxTokens: maxTokens < 0 ? Number.POSITIVE_INFINITY : maxTokens,
        detokenize: calls === null ? reader.detokenize : reader.detokenizeMarks,
        options: (all) => sampling.options(answer, all, () => answerReader.constraint),
        isGreedy: sampling.isGreedy,
      };
    },
  };
}

interface ChoicePlace {
  readonly prompt: readonly Token[];
  readonly index: number;
  readonly answer: number;
}

/** One answer with what it says. */
interface Made {
  readonly choice: Choice;
  readonly answer: Answer;
}

async function one(
  loaded: LoadedModel,
  request: Request,
  held: HeldSlot,
  envelope: Envelope,
  place: ChoicePlace,
  signal: AbortSignal,
  output: Output,
): Promise<Made> {
  const choice: Choice = { text: "", calls: [], logprobs: request.logprobs === null ? null : [] };
  const { index } = place;
  let opened = envelope.dialect === "text";
  const opening = (): object[] => {
    const events = opened ? [] : [chunk(envelope, index, { delta: OPENING, text: "" })];
    opened = true;
    return events;
  };
  const answer = await generate(held, request.job(place.prompt, place.answer), loaded.evaluation, signal, {
    pieces(pieces, logprobs, timings) {
      choice.logprobs?.push(...logprobs);
      for (const piece of pieces) take(choice, piece);
      if (!request.stream) return undefined;
      const events = pieces.map((piece, at) => {
        const added = { delta: deltaOf(piece, choice.calls), text: piece.type === "content" ? piece.text : "" };
        const event = chunk(envelope, index, added, null, at === 0 && choice.logprobs !== null ? logprobs : null);
        return request.timingsPerToken ? { ...event, timings: timingsBody(timings()) } : event;
      });
      return output.event(...opening(), ...events);
    },
    progress(done, elapsedMs) {
      if (!request.returnProgress) return;
      const progress = {
        total: place.prompt.length,
        cache: held.work.promptCached,
        processed: done,
        time_ms: Math.round(elapsedMs),
      };
      void output.event({ ...chunk(envelope, index, { delta: OPENING, text: "" }), prompt_progress: progress });
    },
  });
  if (request.stream && !opened) await output.event(...opening());
  return { choice, answer };
}

function take(choice: Choice, piece: Piece): void {
  if (piece.type === "content") choice.text += piece.text;
  else if (piece.type === "call") choice.calls.push(newCall(piece.name));
  else {
    const call = choice.calls[piece.index];
    if (call !== undefined) call.arguments += piece.text;
  }
}

async function end(
  envelope: Envelope,
  request: Request,
  index: number,
  answers: readonly Made[],
  isLast: boolean,
  output: Output,
): Promise<void> {
  const last = answers.at(-1);
  const finish = {
    ...chunk(envelope, index, { delta: {}, text: "" }, last ? finishOf(last.choice, last.answer) : "stop"),
    ...verboseOf(request, last),
  };
  if (!isLast) return output.event(finish);
  const timings = timingsBody(totals(answers));
  const usage = usageOf(request, answers);
  if (envelope.dialect === "chat" && !request.includeUsage) await output.event({ ...finish, timings });
  else if (envelope.dialect === "chat") await output.event(finish, { ...usageChunk(envelope, usage), timings });
  // llama-server always reports the usage of a text completion, in its last choice.
  else
    await output.event({ ...finish, ...{ usage: (usageChunk(envelope, usage) as { usage: object }).usage }, timings });
  output.done();
}

const verboseOf = ({ verbose }: Request, made: Made | undefined): object =>
  verbose ? { __verbose: { stopping_word: made?.answer.stoppedBy ?? "" } } : {};

const totals = (answers: readonly { answer: Answer }[]): Timings =>
  sumTimings(answers.map(({ answer }) => answer.timings));

function usageOf(request: Request, answers: readonly { answer: Answer }[]): Usage {
  return {
    promptTokens: request.prompts.reduce((sum, prompt) => sum + prompt.length, 0),
    cachedTokens: answers[0]?.answer.timings.cached ?? 0,
    completionTokens: totals(answers).predicted,
  };
}

function summary({ slot, work }: HeldSlot, { finish, timings }: Answer): string {
  const prompt = `prompt ${timings.prompt} tokens in ${timings.promptMs.toFixed(1)} ms (${timings.cached} cached)`;
  return `slot ${slot.id} task ${work.task}: ${prompt}, answer ${timings.predicted} tokens in ${timings.predictedMs.toFixed(1)} ms, ${finish}`;
}
