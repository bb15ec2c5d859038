import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { startTracing } from "../../../../src/telemetry/tracing/start.ts";
import { startCollector } from "../../../fakes/otlp-collector.ts";

const MIB = 2 ** 20;

test("memory stays flat behind a collector that takes spans and never answers", async () => {
  await using collector = await startCollector();
  await collector.become("hanging");
  const tracing = await startTracing(
    {
      otlp: { url: `${collector.url}/v1/traces`, headers: {} },
      langfuse: null,
      serviceName: "assistant",
      resource: {},
      sampling: { root: "always_on", ratio: 1, followsParent: true },
      timeoutMs: 60_000,
      batchDelayMs: 1,
      recordsContent: false,
    },
    "1.0.0",
    { info() {}, warn() {} },
  );
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const record = async (count: number): Promise<number> => {
    for (let index = 0; index < count; index++) {
      const span = tracing.tracer.begin("request", {});
      span.set({ text: "x".repeat(1_000) + index });
      span.end();
      if (index % 1_000 === 0) await new Promise((resolve) => setTimeout(resolve, 2));
    }
    collect();
    return process.memoryUsage().heapUsed;
  };
  // As many as may wait, and more.
  const before = await record(5_000);
  const after = await record(50_000);
  expect(collector.requests).toBeGreaterThan(0);
  expect((after - before) / MIB).toBeLessThan(10);
  await tracing.close();
});
