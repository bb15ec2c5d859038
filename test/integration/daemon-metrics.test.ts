import { request } from "node:http";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "../support/assistant.ts";
import { ask, type FakeInstallation, fake, installFakes, open } from "../support/fake-installation.ts";

let assistant: FakeInstallation;
let url: string;
beforeAll(async () => {
  assistant = await installFakes({ models: { river: { slots: 1 } } });
  url = await assistant.serve();
});
afterAll(() => assistant[Symbol.asyncDispose]());

type Series = ReadonlyMap<string, number>;

/** Every sample by its name and labels. Throws on a line that is none: each one is read, as a scraper would. */
function parse(text: string): Series {
  const series = new Map<string, number>();
  for (const line of text.split("\n").filter((each) => each !== "" && !each.startsWith("# "))) {
    const found = /^([a-z_]\w*(?:\{(?:[a-z_]\w*="(?:[^"\\]|\\.)*",?)*\})?) (\S+)$/i.exec(line);
    if (found === null) throw new Error(`not a sample: ${line}`);
    series.set(found[1] ?? "", Number(found[2]));
  }
  return series;
}

const scrape = async (): Promise<Series> => parse(await (await fetch(`${url}/metrics`)).text());

/** The sum of a metric's series whose labels hold all of `labels`. */
function sum(series: Series, name: string, ...labels: string[]): number {
  let total = 0;
  for (const [key, value] of series)
    if (key.split("{")[0] === name && labels.every((label) => key.includes(label))) total += value;
  return total;
}

test("a scrape counts requests, tokens, times and instances as they were", async () => {
  const before = await scrape();
  expect([sum(before, "assistant_requests_total"), sum(before, "assistant_model_waiting", 'model="river"')]).toEqual([
    0, 0,
  ]);
  const usage = { prompt: 0, completion: 0 };
  for (let count = 1; count <= 3; count++) {
    const answer = await ask(url, "river", `tell ${count} ${fake({ tokens: 7 })}`);
    const told = (JSON.parse(answer.text) as { usage: { prompt_tokens: number; completion_tokens: number } }).usage;
    usage.prompt += told.prompt_tokens;
    usage.completion += told.completion_tokens;
  }
  await ask(url, "lake", "nobody is called that");
  const series = await scrape();
  expect(
    sum(
      series,
      "assistant_requests_total",
      'model="river"',
      'instance="river@cpu"',
      'outcome="complete"',
      'route="/v1/chat/completions"',
    ),
  ).toBe(3);
  expect(sum(series, "assistant_requests_total", 'outcome="rejected"', 'code="model_not_found"')).toBe(1);
  expect(sum(series, "assistant_tokens_total", 'model="river"', 'kind="prompt"')).toBe(usage.prompt);
  expect(sum(series, "assistant_tokens_total", 'model="river"', 'kind="completion"')).toBe(usage.completion);
  for (const name of ["assistant_queue_seconds", "assistant_first_token_seconds", "assistant_request_seconds"]) {
    expect(sum(series, `${name}_count`, 'model="river"')).toBe(3);
    expect(sum(series, `${name}_bucket`, 'model="river"', 'le="+Inf"')).toBe(3);
  }
  expect(sum(series, "assistant_request_seconds_sum", 'model="river"')).toBeGreaterThanOrEqual(
    sum(series, "assistant_first_token_seconds_sum", 'model="river"'),
  );
  expect(sum(series, "assistant_instance_state", 'instance="river@cpu"', 'state="ready"')).toBe(1);
  expect(sum(series, "assistant_instance_state", 'instance="river@cpu"')).toBe(1);
  expect(sum(series, "assistant_instance_starts_total", 'instance="river@cpu"')).toBe(1);
  expect(sum(series, "assistant_instance_memory_bytes", 'instance="river@cpu"')).toBeGreaterThan(0);
  expect(sum(series, "assistant_device_memory_total_bytes", 'device="cpu"')).toBeGreaterThan(0);
  const { rssBytes } = await assistant.state();
  expect(series.get("process_resident_memory_bytes")).toBeGreaterThan(rssBytes / 2);
  expect(series.get("nodejs_eventloop_lag_p99_seconds")).toBeGreaterThan(0);
});

test("what runs and what waits is there while it runs and waits", async () => {
  const leaving = new AbortController();
  const held = await open(url, "river", `hold ${fake({ tokens: 100_000, decodeDelayMs: 10 })}`, {
    stream: true,
    signal: leaving.signal,
  });
  void held.text().catch(() => {});
  const waiting = ask(url, "river", "and I?");
  await eventually("one runs and one waits", async () => {
    const series = await scrape();
    return (
      sum(series, "assistant_model_in_flight", 'model="river"') === 1 &&
      sum(series, "assistant_model_waiting", 'model="river"') === 1
    );
  });
  leaving.abort();
  expect((await waiting).status).toBe(200);
  const series = await scrape();
  expect(sum(series, "assistant_requests_total", 'outcome="cancelled"')).toBe(1);
  expect(sum(series, "assistant_model_in_flight") + sum(series, "assistant_model_waiting")).toBe(0);
});

test("an engine that is killed is a crash, and its restart a start", async () => {
  await ask(url, "river", "hello");
  process.kill((await assistant.ready("river")).pid ?? 0, "SIGKILL");
  const series = await eventually("the crash is counted", async () => {
    const now = await scrape();
    return sum(now, "assistant_instance_ends_total", 'instance="river@cpu"') > 0 ? now : undefined;
  });
  expect(sum(series, "assistant_instance_ends_total", 'instance="river@cpu"', 'cause="signal"')).toBe(1);
  await ask(url, "river", "again");
  expect(sum(await scrape(), "assistant_instance_starts_total", 'instance="river@cpu"')).toBe(
    await assistant.launches("river"),
  );
});

test("the operator's socket answers scrapes without a key", async () => {
  await using locked = await installFakes({ models: { river: {} }, env: { ASSISTANT_API_KEY: "s3cret" } });
  expect((await fetch(`${await locked.serve()}/metrics`)).status).toBe(401);
  const text = await new Promise<string>((resolve, reject) => {
    const asked = request({ socketPath: locked.adminSocket, path: "/metrics" }, async (answer) =>
      resolve((await answer.toArray()).join("")),
    );
    asked.on("error", reject);
    asked.end();
  });
  expect(sum(parse(text), "assistant_refused_total", 'code="missing_api_key"')).toBe(1);
});
