import { Registry } from "prom-client";
import { expect, test } from "vitest";
import type { FinishedRequest } from "../../../src/core/request.ts";
import { servedMetrics, timesOf } from "../../../src/telemetry/served-metrics.ts";

const request = (fields: Partial<FinishedRequest> = {}): FinishedRequest => ({
  id: "1",
  route: "/v1/chat/completions",
  operation: "chat",
  system: "llama-server",
  model: "river",
  instance: "river@cpu",
  tenant: "anna",
  status: 200,
  queueMs: 10,
  ttftMs: 60,
  totalMs: 160,
  promptTokens: 5,
  cachedTokens: 0,
  completionTokens: 11,
  end: "complete",
  finish: "stop",
  ...fields,
});

async function counted(...requests: FinishedRequest[]): Promise<string> {
  const registry = new Registry();
  const count = servedMetrics(registry, [1]);
  for (const each of requests) count([each]);
  return registry.metrics();
}

test.each([
  ["a stream is timed by its bytes", { stream: true }, { prefillMs: 50, decodeMs: 100, firstTokenMs: 60 }],
  [
    "what the engine measured is truer than bytes",
    { stream: true, promptMs: 45, completionMs: 90 },
    { prefillMs: 45, decodeMs: 90, firstTokenMs: 60 },
  ],
  [
    "the first byte of an answer in one piece is not its first token",
    { ttftMs: 160, promptMs: 45, completionMs: 90 },
    { prefillMs: 45, decodeMs: 90, firstTokenMs: 55 },
  ],
  [
    "of what nobody measured nothing is known",
    { ttftMs: 160 },
    { prefillMs: null, decodeMs: null, firstTokenMs: null },
  ],
])("%s", (_, fields, expected) => {
  expect(timesOf(request(fields))).toEqual(expected);
});

test("the time of a token is that of those after the first", async () => {
  const text = await counted(request({ stream: true }), request({ stream: true, completionTokens: 1 }));
  const labels = 'gen_ai_operation_name="chat",gen_ai_provider_name="llama-server",gen_ai_request_model="river"';
  expect(text).toContain(`gen_ai_server_time_per_output_token_seconds_count{${labels}} 1`);
  expect(text).toContain(`gen_ai_server_time_per_output_token_seconds_sum{${labels}} 0.01`);
});

test("a request that failed has a duration with its code, and no tokens' times", async () => {
  const text = await counted(request({ end: "engine-error", code: "engine_lost", attempts: 3 }));
  expect(text).toMatch(/gen_ai_server_request_duration_seconds_count\{.*error_type="engine_lost"\} 1/);
  expect(text).not.toMatch(/^(assistant_decode_seconds|assistant_finished_total)/m);
  expect(text).toContain('assistant_retries_total{model="river"} 2');
});

test("reasons that are nobody's words are one", async () => {
  const reasons = ["stop", "eos", "whatever", null];
  const text = await counted(...reasons.map((finish) => request({ finish })));
  const found = [...text.matchAll(/^assistant_finished_total\{model="river",reason="(\w+)"\} (\d+)$/gm)];
  expect(found.map(([, reason, count]) => `${reason} ${count}`).sort()).toEqual(["none 1", "other 2", "stop 1"]);
});
