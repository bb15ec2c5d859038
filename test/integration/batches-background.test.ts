import OpenAI, { toFile } from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually, isRunning } from "../support/assistant.ts";
import { type FakeInstallation, fake, installFakes } from "../support/fake-installation.ts";

let assistant: FakeInstallation;
let client: OpenAI;

const connect = async (): Promise<void> => {
  client = new OpenAI({ baseURL: `${await assistant.serve()}/v1`, apiKey: "unused", maxRetries: 0 });
};
const killAndRestart = async (): Promise<void> => {
  const { pid } = await assistant.state();
  process.kill(pid, "SIGKILL");
  await eventually("the daemon is gone", async () => !(await isRunning(pid)));
  await connect();
};

beforeAll(async () => {
  assistant = await installFakes({
    models: { river: { slots: 4 }, vectors: { kind: "embedding" } },
  });
  await connect();
});
afterAll(() => assistant?.[Symbol.asyncDispose]());

const CHAT = "/v1/chat/completions";
const chat = (id: string, more: object = {}, prompt = "hello"): object => ({
  ...{ custom_id: id, method: "POST", url: CHAT },
  body: { model: "river", messages: [{ role: "user", content: prompt }], max_tokens: 2, ...more },
});

async function create(lines: readonly unknown[], endpoint: string = CHAT): Promise<OpenAI.Batches.Batch> {
  const text = lines.map((line) => (typeof line === "string" ? line : JSON.stringify(line))).join("\n");
  const file = await client.files.create({ file: await toFile(Buffer.from(text), "in.jsonl"), purpose: "batch" });
  return await client.batches.create({
    ...{ input_file_id: file.id, endpoint: endpoint as typeof CHAT, completion_window: "24h" },
    metadata: { kind: "test" },
  });
}
const reaches = (id: string, status: string): Promise<OpenAI.Batches.Batch> =>
  eventually(`the batch is ${status}`, async () => {
    const batch = await client.batches.retrieve(id);
    if (batch.status !== status && ["completed", "failed", "cancelled", "expired"].includes(batch.status))
      throw new Error(`it is ${batch.status}: ${JSON.stringify(batch.errors)}`);
    return batch.status === status ? batch : undefined;
  });
interface Out {
  readonly custom_id: string;
  readonly response: { readonly status_code: number; readonly body: Record<string, unknown> };
}
async function linesOf(fileId: string | null | undefined): Promise<Out[]> {
  if (fileId === null || fileId === undefined) return [];
  const text = await (await client.files.content(fileId)).text();
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Out);
}

describe("a batch", () => {
  it("has an output with its answers and an error file with what was refused", async () => {
    const created = await create([chat("a"), chat("b", { temperature: "hot" }), chat("c", { max_tokens: 3 })]);
    expect(created).toMatchObject({
      ...{ object: "batch", endpoint: CHAT, completion_window: "24h", metadata: { kind: "test" } },
      id: expect.stringMatching(/^batch_/),
    });
    const done = await reaches(created.id, "completed");
    expect(done.request_counts).toEqual({ total: 3, completed: 2, failed: 1 });
    const output = await linesOf(done.output_file_id);
    expect(output.map(({ custom_id: id }) => id)).toEqual(["a", "c"]);
    expect(output[0]?.response).toMatchObject({
      status_code: 200,
      body: { object: "chat.completion", model: "river" },
    });
    expect(output[1]?.response.body["usage"]).toMatchObject({ completion_tokens: 3 });
    expect(await linesOf(done.error_file_id)).toMatchObject([
      { custom_id: "b", response: { status_code: 400, body: { error: { param: "temperature" } } } },
    ]);
    const listed = await client.batches.list({ limit: 1 });
    expect(listed.data.map(({ id }) => id)).toEqual([created.id]);
    await expect(client.batches.cancel(created.id)).rejects.toMatchObject({ status: 409 });
  });

  it("is refused where a line is none, with the number of each such line", async () => {
    const other = { ...chat("b"), url: "/v1/embeddings" };
    const lines = [chat("a"), "{", other, chat("a"), chat("c", { model: "brook" }), chat("d", { stream: true })];
    const created = await create(lines);
    const { errors, output_file_id: output } = await reaches(created.id, "failed");
    expect(errors?.data?.map(({ line, code }) => [line, code])).toEqual([
      [2, "invalid_json_line"],
      [3, "invalid_url"],
      [4, "duplicate_custom_id"],
      [5, "mismatched_model"],
      [6, "invalid_body"],
    ]);
    expect(output).toBeNull();
  });

  it.each([
    ["/v1/embeddings", { model: "vectors", input: "hello" }, { object: "list" }],
    ["/v1/completions", { model: "river", prompt: "hello", max_tokens: 2 }, { object: "text_completion" }],
    ["/v1/responses", { model: "river", input: "hello", max_output_tokens: 2 }, { object: "response" }],
  ])("may be for %s", async (url, body, expected) => {
    const created = await create([{ custom_id: "a", method: "POST", url, body }], url);
    const { output_file_id: output, error_file_id: errors } = await reaches(created.id, "completed");
    expect(await linesOf(errors)).toEqual([]);
    expect((await linesOf(output))[0]?.response.body).toMatchObject(expected);
  });

  it.each([
    [{ endpoint: "/v1/images" }, "endpoint"],
    [{ completion_window: "90d" }, "completion_window"],
    [{ input_file_id: "file-00000000000000000000000000000000" }, "file_id"],
    [{ metadata: { a: 1 } }, "metadata"],
    [{ windows: 1 }, "windows"],
  ])("is refused for %j", async (wrong, param) => {
    const order = { input_file_id: "file-1", endpoint: CHAT, completion_window: "24h" } as const;
    await expect(client.batches.create({ ...order, ...wrong } as never)).rejects.toMatchObject({ param });
  });

  it("keeps what it answered when it is cancelled", async () => {
    const slow = fake({ decodeDelayMs: 60_000 });
    const created = await create([chat("a"), chat("b", {}, slow), chat("c", {}, slow), chat("d")]);
    await eventually("one is answered", async () => {
      const { request_counts: counts } = await client.batches.retrieve(created.id);
      return counts?.completed === 1;
    });
    expect(await client.batches.cancel(created.id)).toMatchObject({ status: expect.stringMatching(/^cancel/) });
    const { output_file_id: output, request_counts: counts } = await reaches(created.id, "cancelled");
    expect(counts).toEqual({ total: 4, completed: 1, failed: 0 });
    expect((await linesOf(output)).map(({ custom_id: id }) => id)).toEqual(["a"]);
  });

  it("outlives kill -9 of the daemon, and has each answer once", async () => {
    const count = 24;
    const slow = fake({ decodeDelayMs: 20 });
    const created = await create(Array.from({ length: count }, (_, index) => chat(`line-${index}`, {}, slow)));
    await eventually("some are answered", async () => {
      const { request_counts: counts } = await client.batches.retrieve(created.id);
      return (counts?.completed ?? 0) >= 4;
    });
    await killAndRestart();
    const { output_file_id: output, request_counts: counts } = await reaches(created.id, "completed");
    expect(counts).toEqual({ total: count, completed: count, failed: 0 });
    const ids = (await linesOf(output)).map(({ custom_id: id }) => id);
    expect(ids).toEqual(Array.from({ length: count }, (_, index) => `line-${index}`));
  });
});

describe("a response of the background", () => {
  const order = (prompt: string, tokens = 3) =>
    ({ model: "river", input: prompt, background: true, max_output_tokens: tokens }) as const;
  const ends = (id: string): Promise<OpenAI.Responses.Response> =>
    eventually("the response has ended", async () => {
      const response = await client.responses.retrieve(id);
      return response.status === "queued" || response.status === "in_progress" ? undefined : response;
    });

  const taskOf = (id: string): Promise<Response> => fetch(`${client.baseURL.replace("/v1", "/api/v1")}/tasks/${id}`);

  it("outlives kill -9 of the daemon, and its stream can be read from its start", async () => {
    const slow = fake({ decodeDelayMs: 100 });
    const whole = await client.responses.create(order(slow, 500));
    const streamed = await client.responses.create({ ...order(slow, 500), stream: true });
    let id = "";
    for await (const event of streamed) {
      if (event.type === "response.created") id = event.response.id;
      if (event.type === "response.output_text.delta") break;
    }
    streamed.controller.abort();
    await killAndRestart();
    expect(["queued", "in_progress"]).toContain((await client.responses.retrieve(whole.id)).status);
    const types: string[] = [];
    const read = (async () => {
      for await (const event of await client.responses.retrieve(id, { stream: true })) types.push(event.type);
    })();
    await eventually("it is made again", async () => types.includes("response.output_text.delta"));
    expect(types.slice(0, 3)).toEqual(["response.created", "response.queued", "response.in_progress"]);
    for (const one of [whole.id, id]) expect((await client.responses.cancel(one)).status).toBe("cancelled");
    await read;
  });

  it("is complete after a while, and a task meanwhile", async () => {
    const { id } = await client.responses.create(order("hello"));
    expect(await ends(id)).toMatchObject({ status: "incomplete", usage: { output_tokens: 3 } });
    // It is stored after the response.
    const task = await eventually("its task has ended", async () => {
      const body = (await (await taskOf(id)).json()) as { readonly status: string };
      return body.status === "processing" ? undefined : body;
    });
    expect(task).toMatchObject({ task_id: id, status: "completed", result: { usage: { completion_tokens: 3 } } });
    await expect(client.responses.cancel(id)).rejects.toMatchObject({ status: 400 });
  });

  it("fails as its request does", async () => {
    const { id } = await client.responses.create(order(fake({ failStatus: 400 })));
    expect(await ends(id)).toMatchObject({ status: "failed", error: { message: expect.any(String) } });
  });

  it("can be cancelled while it waits, and deleted", async () => {
    const slow = fake({ decodeDelayMs: 100 });
    const made = [];
    for (let index = 0; index < 3; index++) made.push(await client.responses.create(order(slow, 500)));
    const [first, , last] = made;
    expect((await client.responses.retrieve(last?.id ?? "")).status).toBe("queued");
    expect((await client.responses.cancel(last?.id ?? "")).status).toBe("cancelled");
    await client.responses.delete(first?.id ?? "");
    await expect(client.responses.retrieve(first?.id ?? "")).rejects.toMatchObject({ status: 404 });
    await client.responses.cancel(made[1]?.id ?? "");
  });

  it("is deleted with its task, which has its text too", async () => {
    const slow = fake({ decodeDelayMs: 100 });
    const running = await client.responses.create(order(slow, 500));
    const done = await client.responses.create(order("hello"));
    await ends(done.id);
    for (const { id } of [running, done]) {
      await client.responses.delete(id);
      expect((await taskOf(id)).status).toBe(404);
    }
  });
});
