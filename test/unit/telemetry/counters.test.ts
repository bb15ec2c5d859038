import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import type { FleetEvent } from "../../../src/core/fleet.ts";
import type { Death, InstanceSnapshot, InstanceState } from "../../../src/core/instance.ts";
import type { FinishedRequest } from "../../../src/core/request.ts";
import { Counters } from "../../../src/telemetry/counters.ts";
import { exposition } from "../../../src/telemetry/exposition.ts";
import { families } from "../../../src/telemetry/families.ts";
import { Histogram } from "../../../src/telemetry/histogram.ts";
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
  const counters = new Counters();
  for (const totalMs of [5, 5.1, 400_000]) counters.request(request({ totalMs }));
  const text = await exposition({ status: emptyStatus, usage, counters });
  const buckets = [...text.matchAll(/^assistant_request_seconds_bucket\{model="river",le="([^"]+)"\} (\d+)$/gm)].map(([, bound, count]) => [
    bound,
    Number(count),
  ]);
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

test("what did not happen is no observation", () => {
  const histogram = new Histogram();
  histogram.observe(null);
  expect(histogram.count).toBe(0);
});

const death = (cause: Death["cause"]): Death => ({ at: 1, cause, message: "", exitCode: null, signal: null });

const transition = (from: InstanceState, state: InstanceState, lastDeath: Death | null = null): FleetEvent => ({
  type: "transition",
  from,
  snapshot: { id: "river@cuda:0", state, lastDeath } as InstanceSnapshot,
});

test("each end of an engine is counted once, by its cause, and each start", () => {
  const counters = new Counters();
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
    counters.instance(event);
  expect([...counters.starts]).toEqual([["river@cuda:0", 3]]);
  expect([...counters.ends]).toEqual([
    ["river@cuda:0 signal", 2],
    ["river@cuda:0 idle", 1],
  ]);
});

test("names with quotes, backslashes and line ends are escaped", async () => {
  const counters = new Counters();
  counters.request(request({ model: 'a"b\\c\nd' }));
  expect(await exposition({ status: emptyStatus, usage, counters })).toContain('model="a\\"b\\\\c\\nd"');
});

test("docs/monitoring.md lists every metric, with its type, and no other", async () => {
  const page = await readFile(new URL("../../../docs/monitoring.md", import.meta.url), "utf8");
  const listed = [...page.matchAll(/^\| `(assistant_\w+)` \| (\w+) \|/gm)].map(([, name, type]) => `${name} ${type}`);
  const all = families({ status: emptyStatus, usage, counters: new Counters() }).map(({ name, type }) => `${name} ${type}`);
  expect(listed.sort()).toEqual(all.sort());
});
