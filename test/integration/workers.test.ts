import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually, installAssistant, packageRoot, type TestAssistant } from "../support/assistant.ts";
import { httpxClient } from "../support/httpx.ts";

let assistant: TestAssistant;
let url = "";
let page: Server;
/** A worker's process, as far as the tests need it. */
interface Running {
  readonly ended: Promise<{ readonly exitCode?: number | undefined; readonly stderr: string }>;
  kill(signal: NodeJS.Signals): boolean;
}
const workers: Running[] = [];

const REFLECT = `version: 1
llm:
  class: models.reflect.ReflectModel
ingress-filters:
  - class: filters.opencc.OpenCC
    args: { config: s2twp }
egress-filters:
  - class: filters.opencc.OpenCC
    args: { config: s2twp }
`;
const SLOW = "version: 1\noverride-process: { class: models.reflect.SlowReflectProcess, args: { delay_sec: 0.1 } }\n";
const HISTORY = [{ isbot: false, msg: "Hello" }];

function start(program: string, args: readonly string[], env: Record<string, string>, cwd: string): Running {
  const child = execa(program, args, { env: { ...assistant.env, ...env }, extendEnv: false, cwd, reject: false });
  const worker = { ended: child.then(({ exitCode, stderr }) => ({ exitCode, stderr })), kill: child.kill.bind(child) };
  workers.push(worker);
  return worker;
}

/** `assistant worker run`, with the daemon found by the command. */
const run = (args: readonly string[], env: Record<string, string> = {}, folder = ""): Running =>
  start(
    process.execPath,
    [join(packageRoot, "bin/assistant.js"), "worker", "run", ...args],
    env,
    join(assistant.root, folder),
  );

const runPython = (name: string): Running =>
  start(
    "python3",
    [join(packageRoot, "examples/python/echo_worker.py")],
    { LLM_NAME: name, AGENT_ENDPOINT: `${url}/v1.0/` },
    assistant.root,
  );

const json = (path: string, body: object): Promise<Response> =>
  fetch(`${url}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
const form = (address: string, fields: Record<string, string>): Promise<Response> =>
  fetch(address, { method: "POST", body: new URLSearchParams(fields) });
const said = async (answer: Response): Promise<unknown[]> => [answer.status, await answer.text()];
const names = async (): Promise<string[]> =>
  ((await (await fetch(`${url}/v1.0/worker/list`)).json()) as string[]).toSorted();
const registered = (name: string): Promise<unknown> =>
  eventually(`${name} registers`, async () => (await names()).includes(name));
const endpointOf = async (name: string): Promise<string> => {
  const rows = (await (await fetch(`${url}/v1.0/worker/debug`)).json()) as Record<string, [string][]>;
  return rows[name]?.[0]?.[0] ?? "";
};
const ask = async (model: string, content: string): Promise<string> => {
  const answer = await json("/v1/chat/completions", { model, messages: [{ role: "user", content }] });
  const { choices, error } = (await answer.json()) as {
    choices?: { message: { content: string } }[];
    error?: { code: string };
  };
  return choices?.[0]?.message.content ?? error?.code ?? "";
};

beforeAll(async () => {
  assistant = await installAssistant();
  url = await assistant.serve();
  page = createServer((_, response) =>
    response
      .writeHead(200, { "content-type": "text/html" })
      .end("<title>Rivers</title><nav>menu</nav><p>The Tamsui is 159 km long.</p><script>x()</script>"),
  ).listen(0, "127.0.0.1");
  await once(page, "listening");
  const { port } = page.address() as AddressInfo;
  const qa = `version: 1\noverride-process:\n  class: DocumentQaProcess\n  args: { model: reflect, allow_private: true }\n`;
  await writeFile(join(assistant.root, "reflect.yaml"), REFLECT);
  await writeFile(join(assistant.root, "slow.yaml"), SLOW);
  await writeFile(join(assistant.root, "qa.yaml"), qa);
  pageUrl = `http://127.0.0.1:${port}/rivers`;
  expect((await assistant.run(["worker", "new", "shout"])).exitCode).toBe(0);
  run(["reflect.yaml", "--name", "reflect"]);
  run(["slow.yaml", "--name", "slow"]);
  run(["qa.yaml", "--name", "qa"]);
  runPython("echo");
  for (const name of ["reflect", "slow", "qa", "echo"]) await registered(name);
});
let pageUrl = "";

afterAll(async () => {
  for (const worker of workers) worker.kill("SIGTERM");
  await Promise.all(workers.map(({ ended }) => ended));
  page.close();
  await assistant[Symbol.asyncDispose]();
});

test("a worker's name is a model of every door, and listed by commands", async () => {
  const models = (await (await fetch(`${url}/v1/models`)).json()) as { data: { id: string; owned_by: string }[] };
  expect(models.data).toContainEqual(expect.objectContaining({ id: "echo", owned_by: "worker" }));
  expect((await fetch(`${url}/v2/models/echo/ready`)).status).toBe(200);
  expect((await assistant.run(["ps", "--once"])).stdout).toMatch(/At workers: .*echo/);
  expect((await assistant.run(["list"])).stdout).toMatch(/At workers: .*echo/);
  const listed = JSON.parse((await assistant.run(["worker", "list", "--json"])).stdout) as {
    workers: { name: string }[];
  };
  expect(listed.workers.map(({ name }) => name)).toContain("echo");
  expect(await ask("echo", "good day")).toBe("GOOD DAY ");
  const anthropic = await json("/v1/messages", {
    model: "echo",
    max_tokens: 9,
    messages: [{ role: "user", content: "hi" }],
  });
  expect(((await anthropic.json()) as { content: { text: string }[] }).content[0]?.text).toBe("HI ");
  const kserve = await json("/v2/models/echo/generate", { text_input: "hi" });
  expect(((await kserve.json()) as { text_output: string }).text_output).toBe("HI ");
});

test("the example layout converts to Traditional Chinese with Taiwan's words", async () => {
  expect(await ask("reflect", "这个软件")).toBe("這個軟體");
});

test("a stream of a worker is one of OpenAI's", async () => {
  const answer = await json("/v1/chat/completions", {
    model: "slow",
    stream: true,
    messages: [{ role: "user", content: "né" }],
  });
  const events = (await answer.text()).split("\n\n").filter(Boolean);
  const chunks = events.slice(0, -1).map((event) => JSON.parse(event.slice("data: ".length)));
  expect(chunks.map(({ choices }) => choices[0].delta.content ?? "").join("")).toBe("né");
  expect(chunks.at(-1).choices[0].finish_reason).toBe("stop");
  expect(events.at(-1)).toBe("data: [DONE]");
});

test("a worker answers its own protocol, one request at a time", async () => {
  const endpoint = await endpointOf("slow");
  const input = JSON.stringify(HISTORY);
  const first = form(endpoint, { input });
  await eventually("it is busy", async () => /layout_state="busy"} 1/.test(await metricsOf(endpoint)));
  expect(await said(await form(endpoint, { input }))).toEqual([503, '{"message":"Processing another request"}']);
  expect(await said(await first)).toEqual([200, "Hello"]);
  expect(await said(await form(endpoint, { input: "no" }))).toEqual([400, '{"message":"Bad request"}']);
  const empty = [400, '{"message":"I didn\'t see your input!"}'];
  expect(await said(await form(endpoint, { input: "[]" }))).toEqual(empty);
  expect(await said(await form(endpoint, { input: '[{"isbot":false,"msg":""}]' }))).toEqual(empty);
  expect((await fetch(new URL("/health", endpoint))).status).toBe(204);
});

const metricsOf = async (endpoint: string): Promise<string> => (await fetch(new URL("/metrics", endpoint))).text();

test.each(["slow", "echo"])("the metrics of %s have the framework's names", async (name) => {
  const text = await metricsOf(await endpointOf(name));
  for (const metric of [
    'agc_state{agc_state="registered"} 1',
    "agc_registration_info{",
    "agc_attempts_total 1",
    "api_received_requests_total",
    "api_accepted_requests_total",
    "api_rejected_requests_total",
    'layout_config_info{default_layout="False",main_class="',
    'layout_state{layout_state="idle"} 1',
    "layout_failed_total",
    'layout_process_time_seconds_bucket{le="60"}',
    'layout_output_length_charters_bucket{le="1900"}',
    'layout_output_length_characters_bucket{le="1900"}',
    "layout_output_throughput_charters_per_second_count",
    "layout_output_throughput_characters_per_second_count",
    "framework_version_info{version=",
  ])
    expect(text).toContain(metric);
});

test("a request waits while a worker is busy with somebody else's", async () => {
  const outside = form(await endpointOf("slow"), { input: JSON.stringify(HISTORY) });
  expect(await ask("slow", "now")).toBe("now");
  expect((await outside).status).toBe(200);
});

test("a worker is reserved for a chat, asked, and given back", async () => {
  const chat = { name: "echo", history_id: "7", user_id: "1" };
  const endpoint = await endpointOf("echo");
  const input = JSON.stringify(HISTORY);
  expect(await said(await json("/v1.0/worker/schedule", { name: "echo" }))).toEqual([
    400,
    '{"message":"Missing required field."}',
  ]);
  expect((await json("/v1.0/worker/schedule", chat)).status).toBe(202);
  const debug = async (): Promise<unknown> =>
    ((await (await fetch(`${url}/v1.0/worker/debug`)).json()) as Record<string, unknown>)["echo"];
  expect(await debug()).toEqual([[endpoint, "READY", "7", "1"]]);
  const other = await form(`${url}/v1.0/worker/schedule`, { name: "echo", history_id: "8" });
  expect(await said(other)).toEqual([503, '{"message":"BUSY: every worker of \\"echo\\" is busy or reserved."}']);
  const none = await form(`${url}/v1.0/worker/schedule`, { name: "nobody", history_id: "8" });
  expect(await said(none)).toEqual([503, '{"message":"NOMACHINE: no worker is registered as \\"nobody\\"."}']);
  expect(await said(await form(`${url}/v1.0/chat/completions`, { name: "echo", input, history_id: "8" }))).toEqual([
    200,
    "",
  ]);
  const answer = await form(`${url}/v1.0/chat/completions`, { ...chat, input });
  expect(answer.headers.get("content-type")).toBe("text/event-stream");
  expect(await answer.text()).toBe("HELLO ");
  expect(await debug()).toEqual([[endpoint, "READY", -1, -1]]);
  expect((await json("/v1.0/worker/schedule", chat)).status).toBe(202);
  expect((await json("/v1.0/worker/revoke", { name: "echo", history_id: 7 })).status).toBe(204);
  expect(await debug()).toEqual([[endpoint, "READY", -1, -1]]);
});

test("an abort ends a chat of a reserved worker", async () => {
  const chat = { name: "slow", history_id: "9", user_id: "1" };
  expect((await json("/v1.0/worker/schedule", chat)).status).toBe(202);
  const input = JSON.stringify([{ isbot: false, msg: "x".repeat(600) }]);
  const answer = await form(`${url}/v1.0/chat/completions`, { ...chat, input });
  expect((await json("/v1.0/chat/abort", { history_id: [9], user_id: 1 })).status).toBe(204);
  expect((await answer.text()).length).toBeLessThan(600);
});

test("what fails in the middle of an answer is said in its text", async () => {
  expect(await ask("echo", "one fail")).toBe("ONE Error occurred. Please consult support.");
  expect(await metricsOf(await endpointOf("echo"))).toContain("layout_failed_total 1");
});

test("fields that a text cannot obey are refused, by the worker's limits too", async () => {
  const tools = await json("/v1/chat/completions", {
    model: "echo",
    messages: [{ role: "user", content: "hi" }],
    tools: [{ type: "function", function: { name: "f" } }],
  });
  expect([tools.status, ((await tools.json()) as { error: { code: string; param: string } }).error]).toMatchObject([
    400,
    { code: "unsupported_capability", param: "tools" },
  ]);
});

test("a page named with /url is read, and its text goes to the model", async () => {
  const answer = await ask("qa", `/url ${pageUrl} How long is the Tamsui?`);
  expect(answer).toContain("The Tamsui is 159 km long.");
  expect(answer).toContain("Question: How long is the Tamsui?");
  expect(answer).not.toContain("menu");
});

test("a new worker's folder runs as it is, under its own name", async () => {
  const worker = run(["shout"], { SLOTS: "2" });
  await registered("shout");
  expect(await ask("shout", "hello")).toBe("HELLO!");
  worker.kill("SIGTERM");
  expect((await worker.ended).exitCode).toBe(0);
  expect(await names()).not.toContain("shout");
  expect(await ask("shout", "hello")).toBe("model_not_found");
});

test("a worker that cannot register ends with an error, and one with a wrong layout does not start", async () => {
  const [alone, wrong, empty] = await Promise.all([
    run(["reflect.yaml"], { AGENT_ENDPOINT: "http://127.0.0.1:1/v1.0/", RETRY_COUNT: "0" }).ended,
    run(["nothing.yaml"]).ended,
    run(["models"]).ended,
  ]);
  expect(alone.exitCode).toBe(1);
  expect(alone.stderr).toContain("Registration failed. The program will exit now.");
  expect(wrong.exitCode).not.toBe(0);
  expect(wrong.stderr).toContain("nothing.yaml cannot be read");
  expect(empty.stderr).toContain("has no layout.yaml");
});

test("a stock httpx client speaks the protocol", async () => {
  const packages = await httpxClient();
  const script = `
import httpx, json, sys
base = sys.argv[1]
with httpx.Client(base_url=base, trust_env=False) as client:
    seen = [client.post("/v1.0/worker/register", json={"name": "echo"}).text]
    seen.append(client.post("/v1.0/worker/schedule", data={"name": "echo", "history_id": 3, "user_id": 4}).status_code)
    data = {"name": "echo", "input": json.dumps([{"isbot": False, "msg": "by httpx"}]), "history_id": 3, "user_id": 4}
    with client.stream("POST", "/v1.0/chat/completions", data=data) as answer:
        seen.append("".join(answer.iter_text()))
    seen.append(client.post("/v1.0/worker/revoke", data={"name": "echo", "history_id": 3}).status_code)
    print(json.dumps(seen))
`;
  const { stdout } = await execa("python3", ["-c", script, url], { env: { PYTHONPATH: packages } });
  expect(JSON.parse(stdout)).toEqual(['{"message":"Missing required field."}', 202, "BY HTTPX ", 204]);
});

test("workers outlive a restart of the daemon, and those that are gone are forgotten", async () => {
  const gone = runPython("gone");
  await registered("gone");
  await assistant.stop();
  gone.kill("SIGKILL");
  await gone.ended;
  url = await assistant.serve();
  await registered("echo");
  expect(await names()).toEqual(["echo", "qa", "reflect", "slow"]);
  expect(await ask("echo", "still here")).toBe("STILL HERE ");
});

test("a worker that died is forgotten with the first request, which another one answers", async () => {
  const first = runPython("pair");
  await registered("pair");
  const second = runPython("pair");
  await eventually("both are there", async () => {
    const rows = (await (await fetch(`${url}/v1.0/worker/debug`)).json()) as Record<string, unknown[]>;
    return rows["pair"]?.length === 2;
  });
  first.kill("SIGKILL");
  await first.ended;
  expect(await Promise.all(["a", "b", "c"].map((text) => ask("pair", text)))).toEqual(["A ", "B ", "C "]);
  second.kill("SIGKILL");
  await second.ended;
  expect(await ask("pair", "x")).toBe("worker_unavailable");
  expect(await names()).not.toContain("pair");
});

test("no prompt is in the log", async () => {
  const log = await readFile((await assistant.status()).logFile, "utf8");
  expect(log).not.toContain("still here");
});
