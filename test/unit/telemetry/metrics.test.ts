import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import type { NodeStatus } from "../../../src/api/nodes.ts";
import type { FleetEvent } from "../../../src/core/fleet.ts";
import type { Death, InstanceSnapshot, InstanceState } from "../../../src/core/instance.ts";
import type { FinishedRequest } from "../../../src/core/request.ts";
import { Metrics } from "../../../src/telemetry/metrics.ts";
import { emptyStatus } from "../../support/gateway.ts";

const usage = { since: 0, usage: [] };
const request = (fields: Partial<FinishedRequest>): FinishedRequest => ({
  id: "1",
  route: "/v1/chat/completions",
  model: "river",
  instance: "river@cpu",
  tenant: "anna",
  status: 200,
  queueMs: null,
  ttftMs: null,
  totalMs: 30,
  promptTokens: null,
  cachedTokens: null,
  completionTokens: null,
  end: "complete",
  ...fields,
});

test("a duration counts in every bucket whose bound it does not exceed", async () => {
  const metrics = new Metrics();
  for (const totalMs of [5, 5.1, 400_000]) metrics.requests([request({ totalMs })]);
  const text = await metrics.text(emptyStatus, usage);
  const buckets = [...text.matchAll(/^assistant_request_seconds_bucket\{le="([^"]+)",model="river"\} (\d+)$/gm)].map(
    ([, bound, count]) => [bound, Number(count)],
  );
  expect(buckets.slice(0, 3)).toEqual([
    ["0.005", 1],
    ["0.01", 2],
    ["0.025", 2],
  ]);
  expect(buckets.slice(-2)).toEqual([
    ["300", 2],
    ["+Inf", 3],
  ]);
  expect(text).toContain('assistant_request_seconds_count{model="river"} 3');
  expect(text).toMatch(/assistant_request_seconds_sum\{model="river"\} 400\.0101/);
});

test("what did not happen is no observation", async () => {
  const metrics = new Metrics();
  metrics.requests([request({ queueMs: null, ttftMs: null })]);
  const text = await metrics.text(emptyStatus, usage);
  expect(text).toContain('assistant_request_seconds_count{model="river"} 1');
  expect(text).not.toMatch(/^assistant_(queue|first_token)_seconds_count/m);
});

const death = (cause: Death["cause"]): Death => ({ at: 1, cause, message: "", exitCode: null, signal: null });

const transition = (from: InstanceState, state: InstanceState, lastDeath: Death | null = null): FleetEvent => ({
  type: "transition",
  from,
  snapshot: { id: "river@cuda:0", state, lastDeath } as InstanceSnapshot,
});

test("each end of an engine is counted once, by its cause, and each start", async () => {
  const metrics = new Metrics();
  const killed = death("signal");
  const idle = death("idle");
  for (const event of [
    transition("absent", "starting"),
    transition("starting", "ready"),
    transition("ready", "failed", killed),
    transition("failed", "starting", killed),
    transition("starting", "failed", killed),
    // Given up: the process was gone already.
    transition("failed", "absent", killed),
    transition("absent", "starting", killed),
    transition("starting", "ready", killed),
    transition("ready", "stopping", killed),
    transition("stopping", "absent", idle),
  ])
    metrics.instance(event);
  expect((await metrics.text(emptyStatus, usage)).match(/^assistant_instance_(starts|ends)_total.*$/gm)).toEqual([
    'assistant_instance_starts_total{instance="river@cuda:0"} 3',
    'assistant_instance_ends_total{instance="river@cuda:0",cause="signal"} 2',
    'assistant_instance_ends_total{instance="river@cuda:0",cause="idle"} 1',
  ]);
});

test("names with quotes, backslashes and line ends are escaped", async () => {
  const metrics = new Metrics();
  metrics.requests([request({ model: 'a"b\\c\nd' })]);
  expect(await metrics.text(emptyStatus, usage)).toContain('model="a\\"b\\\\c\\nd"');
});

test("each scrape shows the status and the usage as they are then", async () => {
  const metrics = new Metrics();
  const row = {
    tenant: "anna",
    model: "river",
    requests: 2,
    failed: 0,
    promptTokens: 10,
    cachedTokens: 4,
    completionTokens: 5,
  };
  const first = await metrics.text(
    { ...emptyStatus, nodes: [{ name: "attic", state: "up", inFlight: 3 } as NodeStatus] },
    { since: 0, usage: [row] },
  );
  expect(first).toContain('assistant_node_in_flight{node="attic"} 3');
  expect(first).toContain('assistant_tenant_requests_total{tenant="anna",model="river"} 2');
  expect(first).toContain('assistant_tenant_tokens_total{tenant="anna",model="river",kind="cached"} 4');
  const second = await metrics.text(emptyStatus, { since: 0, usage: [{ ...row, requests: 3 }] });
  expect(second).not.toContain('node="attic"');
  expect(second).toContain('assistant_tenant_requests_total{tenant="anna",model="river"} 3');
});

test("docs/monitoring.md lists every metric, with its type, and no other", async () => {
  const page = await readFile(new URL("../../../docs/monitoring.md", import.meta.url), "utf8");
  const listed = [...page.matchAll(/^\| `((?:assistant|gen_ai)_\w+)` \| (\w+) \|/gm)].map(
    ([, name, type]) => `${name} ${type}`,
  );
  const all = (await new Metrics().registry.getMetricsAsJSON()).map(({ name, type }) => `${name} ${type}`);
  expect(listed.sort()).toEqual(all.sort());
});
