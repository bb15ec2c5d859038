import { createHmac } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually, isRunning } from "../support/assistant.ts";
import { type FakeInstallation, fake, installFakes } from "../support/fake-installation.ts";
import { freePort } from "../support/redis.ts";
import { startReceiver, type WebhookReceiver } from "../support/webhook-receiver.ts";

interface Task {
  readonly task_id: string;
  readonly status: string;
  readonly finished_at: string | null;
  readonly result: { readonly text: string; readonly model: string } | null;
  readonly error: string | null;
}
interface Report extends Task {
  readonly started_at: string | null;
  readonly attempts: number;
  readonly logs: readonly { readonly message: string }[];
  readonly webhook: { readonly state: string; readonly attempts: readonly { readonly status: number | null }[] } | null;
}

let assistant: FakeInstallation;
let receiver: WebhookReceiver;
let url: string;

const SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

beforeAll(async () => {
  receiver = await startReceiver();
  assistant = await installFakes({
    config:
      '[tasks]\nconcurrency = 1\nmax_attempts = 2\nwebhook_allow_private = true\nwebhook_secret_env = "HOOK_SECRET"\n',
    env: { HOOK_SECRET: SECRET },
    models: { river: {}, brook: {}, broken: { knobs: { exitAtStart: 1 } } },
  });
  url = await assistant.serve();
});
afterAll(async () => {
  await assistant?.[Symbol.asyncDispose]();
  await receiver?.[Symbol.asyncDispose]();
});

async function call<T>(method: string, path: string, body?: object): Promise<{ status: number; body: T }> {
  const answer = await fetch(`${url}/api/v1/tasks${path}`, {
    method,
    ...(body === undefined ? {} : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  return { status: answer.status, body: (text === "" ? {} : JSON.parse(text)) as T };
}

async function submit(fields: object): Promise<Task> {
  const { status, body } = await call<Task>("POST", "", { model: "river", prompt: "hello", ...fields });
  expect(status, JSON.stringify(body)).toBe(201);
  return body;
}
const report = async ({ task_id: id }: Task): Promise<Report> => (await call<Report>("GET", `/${id}/report`)).body;
const reaches = ({ task_id: id }: Task, wanted: string): Promise<Task> =>
  eventually(`${id} is ${wanted}`, async () => {
    const { body } = await call<Task>("GET", `/${id}`);
    return body.status === wanted ? body : undefined;
  });

describe("a task", () => {
  it("is accepted, runs, and has its answer and its report", async () => {
    const task = await submit({ max_tokens: 2, input_text: "more", idempotency_key: "once" });
    expect(task).toMatchObject({ task_id: expect.stringMatching(/^task-[0-9a-f]{16}$/), status: "pending" });
    const done = await reaches(task, "completed");
    expect(done).toMatchObject({
      model: "river",
      error: null,
      result: { finish_reason: "length", model: "river", usage: { completion_tokens: 2 }, extra: {} },
    });
    expect(await report(task)).toMatchObject({
      started_at: expect.any(String),
      attempts: 1,
      prompt: "hello\n\nmore",
      params: { temperature: 0.1, max_tokens: 2, top_p: 1, top_k: 40 },
      metrics: { queue_wait_ms: expect.any(Number), inference_ms: expect.any(Number), total_ms: expect.any(Number) },
      logs: [{ message: "queued" }, { message: "attempt 1 of 2 begins" }, { message: "completed" }],
    });
    const again = await submit({ prompt: "another", idempotency_key: "once" });
    expect(again.task_id).toBe(task.task_id);
  });

  it("has no other models than those of the address to fall back to", async () => {
    await using own = await installFakes({ models: { river: {}, brook: {} } });
    const address = `127.0.0.1:${await freePort()}`;
    const file = join(own.modelDir, "river.toml");
    await writeFile(file, `${own.toml("river")}\n[server]\nsocket_addr = "${address}"\n`);
    await own.serve();
    const answer = await fetch(`http://${address}/api/v1/tasks`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "river", prompt: "hello", fallback_models: ["brook"] }),
    });
    expect(await answer.json()).toMatchObject({ error: "model_not_found", details: { param: "fallback_models[0]" } });
  });

  it.each([
    [{ model: "nothing" }, 404, "model_not_found", "model"],
    [{ fallback_models: ["river", "nothing"] }, 404, "model_not_found", "fallback_models[1]"],
    [{ prompt: null }, 400, "invalid_request", "prompt"],
    [{ temperature: 3 }, 400, "invalid_request", "temperature"],
    [{ temprature: 1 }, 400, "invalid_request", "temprature"],
    [{ output_schema: { type: "nonsense" } }, 400, "invalid_request", "output_schema.type"],
    [{ run_at: "2026-02-31T12:00:00Z" }, 400, "invalid_request", "run_at"],
    [{ webhook_url: "ftp://example.org" }, 400, "invalid_request", "webhook_url"],
    [{ conversation_id: "conv_00" }, 404, "conversation_not_found", "conversation_id"],
    [{ conversation_id: "00" }, 400, "invalid_request", "conversation_id"],
  ])("with %j is refused with %i %s", async (fields, status, code, param) => {
    const answer = await call<object>("POST", "", { model: "river", prompt: "hello", ...fields });
    expect(answer).toMatchObject({ status, body: { error: code, details: { param }, trace_id: expect.any(String) } });
  });

  it("that waits starts by priority, then in the order of its making", async () => {
    const first = await submit({ prompt: fake({ decodeDelayMs: 10 }) });
    await reaches(first, "processing");
    const { body } = await call<{ tasks: Task[] }>("POST", "/batch", {
      tasks: [0, 50, 0, 50].map((priority) => ({ model: "river", prompt: "hello", max_tokens: 1, priority })),
    });
    expect((await call("DELETE", `/${first.task_id}`)).status).toBe(409);
    const cancelled = await call<Task>("POST", `/${first.task_id}/cancel`);
    expect(cancelled).toMatchObject({ status: 200, body: { status: "cancelled" } });
    expect((await call("POST", `/${first.task_id}/cancel`)).status).toBe(409);
    for (const task of body.tasks) await reaches(task, "completed");
    const started = await Promise.all(body.tasks.map(async (task) => (await report(task)).started_at ?? ""));
    expect(started.map((_, index) => index).sort((a, b) => (started[a] ?? "").localeCompare(started[b] ?? ""))).toEqual(
      [1, 3, 0, 2],
    );
    expect((await call("DELETE", `/${first.task_id}`)).status).toBe(204);
    expect((await call("GET", `/${first.task_id}`)).status).toBe(404);
    const listed = await call<{ tasks: Task[]; next: string }>("GET", "?status=completed&limit=2");
    expect(listed.body.tasks.map(({ task_id: id }) => id)).toEqual([body.tasks[3]?.task_id, body.tasks[2]?.task_id]);
  });

  it("starts no sooner than it may", async () => {
    const runAt = new Date(Date.now() + 400).toISOString();
    const task = await submit({ run_at: runAt, max_tokens: 1 });
    await reaches(task, "completed");
    expect(((await report(task)).started_at ?? "") >= runAt).toBe(true);
  });

  it("is answered by a fallback where its model fails", async () => {
    const task = await submit({ model: "broken", fallback_models: ["brook"], max_tokens: 1 });
    expect((await reaches(task, "completed")).result).toMatchObject({ model: "brook" });
    expect((await report(task)).logs.map(({ message }) => message).join()).toContain("trying brook");
  });

  it("that fails is tried again as often as it says", async () => {
    const task = await submit({ prompt: fake({ failStatus: 500 }), max_attempts: 2 });
    const failed = await reaches(task, "failed");
    expect(failed.error).toContain("engine_error");
    expect((await report(task)).attempts).toBe(2);
  });

  it("whose engine is killed is tried again and completes", async () => {
    const task = await submit({ model: "brook", max_tokens: 20, prompt: fake({ decodeDelayMs: 30 }) });
    await eventually("its output comes", async () => {
      const { instances } = await assistant.state();
      const brook = instances.find(({ model, state }) => model === "brook" && state === "ready");
      const isRunning = (await report(task)).status === "processing";
      if (brook?.pid === undefined || brook.pid === null || !isRunning) return false;
      process.kill(brook.pid, "SIGKILL");
      return true;
    });
    await reaches(task, "completed");
  });

  it("whose answer does not match its schema fails, after a repair where it was asked for", async () => {
    const task = await submit({ max_tokens: 1, output_schema: { type: "object" }, repair: true });
    expect((await reaches(task, "failed")).error).toContain(
      "output_invalid: The answer does not match the JSON Schema",
    );
    expect((await report(task)).logs.map(({ message }) => message).join()).toContain(
      "asking the model to repair its answer",
    );
  });

  it("streams its output to those who come late too, from the start", async () => {
    const task = await submit({ max_tokens: 30, prompt: fake({ decodeDelayMs: 20 }) });
    await reaches(task, "processing");
    const read = async (): Promise<string> => await (await fetch(`${url}/api/v1/tasks/${task.task_id}/stream`)).text();
    const [early, done] = [await read(), await reaches(task, "completed")];
    const textOf = (stream: string): string =>
      stream
        .split("\n\n")
        .filter((event) => event.startsWith("event: text"))
        .map((event) => (JSON.parse(event.split("data: ")[1] ?? "") as { text: string }).text)
        .join("");
    expect(early.match(/event: text/g)?.length).toBeGreaterThan(1);
    expect(textOf(early)).toBe(done.result?.text);
    expect(textOf(await read())).toBe(done.result?.text);
    expect(early).toMatch(/event: end\ndata: \{"task_id":"task-[0-9a-f]+","status":"completed"/);
  });
});

describe("a webhook", () => {
  it("is signed, and sent again until it is taken", async () => {
    receiver.statuses.push(500);
    const task = await submit({ webhook_url: `${receiver.url}/first`, max_tokens: 1 });
    const sent = await eventually("it came twice", () => {
      const all = receiver.received.filter(({ path }) => path === "/first");
      return all.length === 2 ? all : undefined;
    });
    for (const { headers, body } of sent) {
      const signed = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
      const key = Buffer.from(SECRET.slice("whsec_".length), "base64");
      expect(headers["webhook-signature"]).toBe(`v1,${createHmac("sha256", key).update(signed).digest("base64")}`);
      expect(JSON.parse(body)).toMatchObject({ task_id: task.task_id, status: "completed", data: { model: "river" } });
    }
    const { webhook } = await eventually("it is recorded", async () => {
      const told = await report(task);
      return told.webhook?.state === "delivered" ? told : undefined;
    });
    expect(webhook?.attempts.map(({ status }) => status)).toEqual([500, 200]);
  });
});

describe("assistant task", () => {
  it("submits, waits, shows, lists, cancels and prints the log", async () => {
    const run = async (...args: string[]): Promise<{ exitCode: number; stdout: string; stderr: string }> =>
      await assistant.run(["task", ...args]);
    const conversations = `${url}/api/v1/conversations`;
    const begun = await fetch(conversations, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}",
    });
    const { conversation_id: conversation } = (await begun.json()) as { conversation_id: string };
    const limits = ["--max-tokens", "2", "--priority", "7"];
    const submitted = await run("submit", "brook", "hello", "there", ...limits, "--conversation", conversation);
    expect(submitted.stdout, submitted.stderr).toMatch(/^task-[0-9a-f]{16}$/);
    const id = submitted.stdout;
    const waited = await run("wait", id);
    expect(waited).toMatchObject({ exitCode: 0, stdout: expect.stringContaining("word") });
    const kept = (await (await fetch(`${conversations}/${conversation}/messages`)).json()) as { messages: object[] };
    expect(kept.messages).toMatchObject([{ role: "user", content: "hello there" }, { role: "assistant" }]);
    expect(await run("submit", "brook", "hello", "--schema", "/nowhere.json")).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining("--schema: expected a file with a JSON object"),
    });
    const shown = await run("show", id);
    expect(shown.stdout).toContain("completed");
    expect(shown.stdout).toContain(waited.stdout.trim());
    expect(JSON.parse((await run("list", "--limit", "1", "--json")).stdout)).toMatchObject({
      tasks: [{ task_id: id, status: "completed" }],
    });
    expect((await run("logs", id)).stdout).toMatch(/info +completed$/);
    expect(await run("cancel", id)).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining("completed already"),
    });
    expect((await run("show", "task-0")).exitCode).toBe(4);
    expect((await run("secret")).stdout).toBe(SECRET);
  });
});

describe("kill -9 of the daemon", () => {
  it("loses no task, completes none twice, keeps the webhooks, and adds each turn to its conversation once", async () => {
    const conversations = `${url}/api/v1/conversations`;
    const headers = { "content-type": "application/json" };
    const begun = await fetch(conversations, { method: "POST", headers, body: "{}" });
    const { conversation_id: conversation } = (await begun.json()) as { conversation_id: string };
    const order = (index: number): object => ({
      conversation_id: conversation,
      model: index % 2 === 0 ? "river" : "brook",
      // The second one is sure to run when the daemon is killed.
      max_tokens: index === 1 ? 100 : 3,
      prompt: `${index} ${fake({ decodeDelayMs: 30 })}`,
      webhook_url: `${receiver.url}/killed`,
    });
    const { body } = await call<{ tasks: Task[] }>("POST", "/batch", {
      tasks: Array.from({ length: 24 }, (_, i) => order(i)),
    });
    const tasks = body.tasks;
    const states = async (): Promise<Task[]> =>
      Promise.all(tasks.map(async ({ task_id: id }) => (await call<Task>("GET", `/${id}`)).body));
    const before = await eventually("some have ended and one runs", async () => {
      const all = await states();
      const hasEnded = all.filter(({ status }) => status === "completed").length >= 4;
      return hasEnded && all[1]?.status === "processing" ? all : undefined;
    });
    const { pid } = await assistant.state();
    process.kill(pid, "SIGKILL");
    await eventually("it is gone", async () => !(await isRunning(pid)));
    url = await assistant.serve();
    await eventually("all have ended", async () => (await states()).every(({ status }) => status === "completed"));
    const after = await Promise.all(tasks.map(report));
    for (const [index, { finished_at: finishedAt, logs }] of after.entries()) {
      expect(logs.filter(({ message }) => message === "completed")).toHaveLength(1);
      if (before[index]?.status === "completed") expect(finishedAt).toBe(before[index]?.finished_at);
    }
    expect(after[1]?.logs.map(({ message }) => message).join()).toContain("queued again");
    const kept = await fetch(`${url}/api/v1/conversations/${conversation}/messages`);
    const { messages } = (await kept.json()) as { messages: { role: string; content: string }[] };
    expect(messages.map(({ role }) => role)).toEqual(tasks.flatMap(() => ["user", "assistant"]));
    const asked = messages.filter(({ role }) => role === "user").map(({ content }) => Number(content.split(" ")[0]));
    expect(asked.sort((a, b) => a - b)).toEqual(tasks.map((_, index) => index));
    await eventually("every webhook came", () => {
      const ids = receiver.received
        .filter(({ path }) => path === "/killed")
        .map(({ headers }) => headers["webhook-id"]);
      return tasks.every(({ task_id: id }) => ids.includes(id));
    });
  });
});
