import { Counter, type Registry } from "prom-client";
import type { FinishedRequest } from "../core/request.ts";
import { LabelledHistogram } from "./histogram.ts";

/** Of OpenTelemetry's conventions for model servers, seconds. */
const REQUEST_BUCKETS = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
const FIRST_TOKEN_BUCKETS = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
const TOKEN_BUCKETS = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5];
/** Prompts and answers, tokens. */
const COUNT_BUCKETS = [1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144];
/** Why answers end, in OpenAI's words; whatever else a server says is `other`. */
const FINISH_REASONS: ReadonlySet<string> = new Set(["stop", "length", "tool_calls", "content_filter"]);
const SERVED: ReadonlySet<FinishedRequest["end"]> = new Set(["complete"]);

const genAi = ["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model"] as const;
type GenAi = (typeof genAi)[number];

/**
 * Defines the metrics of vLLM and of OpenTelemetry's GenAI conventions for served requests; returns a function that
 * counts requests that differ only in figures.
 */
export function servedMetrics(
  registry: Registry,
  durationBuckets: readonly number[],
): (alike: readonly [FinishedRequest, ...FinishedRequest[]]) => void {
  const registers = [registry];
  const ofModel = (name: string, help: string, buckets: readonly number[]): LabelledHistogram<"model"> =>
    new LabelledHistogram({ name, help, labelNames: ["model"], buckets, registers });
  const ofGenAi = <Extra extends string = never>(
    name: string,
    help: string,
    buckets: number[],
    ...extra: Extra[]
  ): LabelledHistogram<GenAi | Extra> =>
    new LabelledHistogram({ name, help, labelNames: [...genAi, ...extra], buckets, registers });

  const prefill = ofModel("assistant_prefill_seconds", "Computation of a prompt.", durationBuckets);
  const decode = ofModel("assistant_decode_seconds", "From the first token of an answer to its last.", durationBuckets);
  const prompts = ofModel("assistant_prompt_tokens", "Length of prompts, cached tokens included.", COUNT_BUCKETS);
  const answers = ofModel("assistant_completion_tokens", "Length of answers.", COUNT_BUCKETS);
  const finished = new Counter({
    name: "assistant_finished_total",
    help: "Answers, by finish reason.",
    labelNames: ["model", "reason"],
    registers,
  });
  const retries = new Counter({
    name: "assistant_retries_total",
    help: "Further attempts of requests, with the same model or a fallback.",
    labelNames: ["model"],
    registers,
  });
  const duration = ofGenAi(
    "gen_ai_server_request_duration_seconds",
    "From a request to its end.",
    REQUEST_BUCKETS,
    "error_type",
  );
  const firstToken = ofGenAi(
    "gen_ai_server_time_to_first_token_seconds",
    "From a request to the first token of its answer.",
    FIRST_TOKEN_BUCKETS,
  );
  const perToken = ofGenAi(
    "gen_ai_server_time_per_output_token_seconds",
    "Mean time of each further token of an answer.",
    TOKEN_BUCKETS,
  );

  return (alike) => {
    const [{ model: name, end, finish = null, attempts = 1, operation = "", system = "", code = end }] = alike;
    const model = name ?? "";
    const labels = { gen_ai_operation_name: operation, gen_ai_provider_name: system, gen_ai_request_model: model };
    if (attempts > 1) retries.inc({ model }, (attempts - 1) * alike.length);
    if (operation !== "") {
      const series = duration.of({ ...labels, error_type: SERVED.has(end) ? "" : code });
      for (const { totalMs } of alike) if (totalMs !== null) series.observe(totalMs / 1000);
    }
    if (!SERVED.has(end)) return;
    const reason = finish === null || FINISH_REASONS.has(finish) ? (finish ?? "none") : "other";
    finished.inc({ model, reason }, alike.length);
    const [prefills, decodes] = [prefill.of({ model }), decode.of({ model })];
    const [promptLengths, answerLengths] = [prompts.of({ model }), answers.of({ model })];
    const [firstTokens, perTokens] = [firstToken.of(labels), perToken.of(labels)];
    for (const request of alike) {
      const { promptTokens, completionTokens } = request;
      const { prefillMs, decodeMs, firstTokenMs } = timesOf(request);
      if (promptTokens !== null) promptLengths.observe(promptTokens);
      if (completionTokens !== null) answerLengths.observe(completionTokens);
      if (prefillMs !== null) prefills.observe(prefillMs / 1000);
      if (firstTokenMs !== null) firstTokens.observe(firstTokenMs / 1000);
      if (decodeMs === null || completionTokens === null || completionTokens < 1) continue;
      decodes.observe(decodeMs / 1000);
      if (completionTokens > 1) perTokens.observe(decodeMs / (completionTokens - 1) / 1000);
    }
  };
}

interface Times {
  readonly prefillMs: number | null;
  readonly decodeMs: number | null;
  readonly firstTokenMs: number | null;
}

/** As measured by the engine; otherwise, for a stream, from the arrival of its bytes. Null: unknown. */
export function timesOf({
  stream = false,
  queueMs,
  ttftMs,
  totalMs,
  promptMs = null,
  completionMs = null,
}: FinishedRequest): Times {
  const seenMs = stream ? ttftMs : null;
  const seenPrefillMs = seenMs === null || queueMs === null ? null : Math.max(0, seenMs - queueMs);
  const prefillMs = promptMs ?? seenPrefillMs;
  return {
    prefillMs,
    decodeMs: completionMs ?? (seenMs === null || totalMs === null ? null : totalMs - seenMs),
    firstTokenMs: seenMs ?? (promptMs === null || queueMs === null ? null : queueMs + promptMs),
  };
}
