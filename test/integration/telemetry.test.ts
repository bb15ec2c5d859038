import { afterAll, beforeAll, expect, test } from "vitest";
import { type CollectedSpan, type FakeCollector, startCollector } from "../fakes/otlp-collector.ts";
import { eventually } from "../support/assistant.ts";
import { ask, type FakeInstallation, fake, installFakes } from "../support/fake-installation.ts";

let collector: FakeCollector;
let assistant: FakeInstallation;
let url: string;

beforeAll(async () => {
  collector = await startCollector();
  assistant = await installFakes({
    models: { river: { slots: 2 } },
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_EXPORTER_OTLP_HEADERS: "x-token=a%20secret",
      OTEL_BSP_SCHEDULE_DELAY: "50",
      OTEL_EXPORTER_OTLP_TIMEOUT: "500",
    },
  });
  url = await assistant.serve();
});
afterAll(async () => {
  await assistant?.[Symbol.asyncDispose]();
  await collector?.[Symbol.asyncDispose]();
});

const TRACE_ID = "0af7651916cd43dd8448eb211c80319c";
const PARENT = "b7ad6b7169203331";

/** The spans of a trace, once the server's has come, which is the last to end. */
const traceOf = (traceId: string, last: (span: CollectedSpan) => boolean): Promise<CollectedSpan[]> =>
  eventually(`the trace ${traceId} is there`, () => {
    const spans = collector.spans().filter((span) => span.traceId === traceId);
    return Promise.resolve(spans.some(last) ? spans : undefined);
  });

test("a request's trace has the server's span, the model call and its phases, in the caller's trace", async () => {
  const answer = await ask(url, "river", `tell ${fake({ tokens: 5 })}`, {
    stream: true,
    headers: { traceparent: `00-${TRACE_ID}-${PARENT}-01` },
  });
  expect(answer.status).toBe(200);
  const spans = await traceOf(TRACE_ID, ({ kind }) => kind === "server");
  const server = spans.find(({ kind }) => kind === "server");
  const call = spans.find(({ kind }) => kind === "client");
  expect(server).toMatchObject({
    name: "POST /v1/chat/completions",
    parentSpanId: PARENT,
    error: null,
    attributes: { "http.response.status_code": 200, "http.route": "/v1/chat/completions" },
    resource: { "service.name": "assistant" },
  });
  expect(call).toMatchObject({
    name: "chat river",
    parentSpanId: server?.spanId,
    attributes: {
      "gen_ai.operation.name": "chat",
      "gen_ai.provider.name": "llama-server",
      "gen_ai.request.model": "river",
      "gen_ai.response.model": "river",
      "gen_ai.usage.output_tokens": 5,
    },
  });
  const phases = spans.filter(({ parentSpanId }) => parentSpanId === call?.spanId);
  expect(phases.map(({ name }) => name).sort()).toEqual(["decode", "load", "prefill", "queue"]);
  for (const { startedAt, endedAt } of phases) {
    expect(startedAt).toBeGreaterThanOrEqual(call?.startedAt ?? 0);
    expect(endedAt).toBeLessThanOrEqual(call?.endedAt ?? 0);
  }
  expect(collector.exports[0]).toMatchObject({ path: "/v1/traces", headers: { "x-token": "a secret" } });
});
