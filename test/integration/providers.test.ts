import { appendFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { ProviderStatus } from "../../src/api/providers.ts";
import { chunk, events, type FakeProvider, json, STREAM, startProvider, WHOLE } from "../fakes/provider.ts";
import { eventually, installAssistant, type TestAssistant } from "../support/assistant.ts";
import { chatBody, NodeGroup, postChat } from "../support/nodes.ts";

let fake: FakeProvider;
let assistant: TestAssistant;
let url: string;
const nodes = new NodeGroup();

const entry = (name: string, baseUrl: string, more = ""): string =>
  `[[providers]]\nname = "${name}"\nbase_url = "${baseUrl}"\napi_key_env = "CLOUD_KEY"\n${more}\n`;

const end = async (): Promise<void> => {
  await assistant?.[Symbol.asyncDispose]();
  await nodes.end();
  await fake[Symbol.asyncDispose]();
};

async function start(more = "", models: Record<string, string> = {}): Promise<void> {
  assistant = await installAssistant({
    config: entry("cloud", fake.url) + more,
    models,
    env: { CLOUD_KEY: "sk-secret", ASSISTANT_GRPC_ADDR: "" },
  });
  url = await assistant.serve();
}

const ask = (model: string, more: object = {}): Promise<Response> =>
  fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, messages: [{ role: "user", content: "Name a river." }], ...more }),
  });
const errorOf = async (response: Response): Promise<{ status: number; code: string; message: string }> => ({
  status: response.status,
  ...((await response.json()) as { error: { code: string; message: string } }).error,
});
const provider = async (name: string): Promise<ProviderStatus | undefined> =>
  (await assistant.status()).providers?.find((one) => one.name === name);

describe("a daemon that runs on", () => {
  beforeAll(async () => {
    fake = await startProvider();
    await start(entry("dead", "http://127.0.0.1:1/v1", 'models = ["large"]'), {
      here: '[chat]\nsource = "/nowhere/model.gguf"\nfallbacks = ["cloud/large"]\n',
      voice: '[tts]\nprovider = "cloud"\nprovider_model = "tts-1"\n',
      ears: '[transcription]\nprovider = "cloud"\nprovider_model = "whisper-1"\n',
    });
  });
  afterEach(() => fake.forget());
  afterAll(end);

  test("what a provider answers wrongly is an error that names it, and nothing else stops", async () => {
    fake.script("/chat/completions", { headers: { "content-type": "text/html" }, parts: ["<html>"] });
    expect(await errorOf(await ask("cloud/large"))).toMatchObject({
      status: 502,
      code: "provider_error",
      message: expect.stringContaining("an HTML page"),
    });
    fake.script("/chat/completions", json({ error: { message: "must be positive", param: "top_k" } }, { status: 400 }));
    expect(await errorOf(await ask("cloud/large"))).toMatchObject({
      status: 400,
      code: "invalid_request",
      param: "top_k",
    });
    fake.script("/chat/completions", { ...events(), parts: [`data: ${chunk("a")}\n\ndata: {"ch`] });
    const half = await (await ask("cloud/large", { stream: true })).text();
    expect(half).toMatch(
      /^data: \{"choices".*\n\ndata: \{"error":\{"message":"The provider \\"cloud\\" ended in the middle of an event/,
    );
    expect(await errorOf(await ask("dead/large"))).toMatchObject({
      status: 503,
      code: "provider_unavailable",
      message: expect.stringContaining("nothing listens"),
    });
    fake.script("/chat/completions", json(WHOLE));
    expect((await ask("cloud/large")).status).toBe(200);
  });

  test("a client that disconnects ends the work of the provider", async () => {
    fake.script("/chat/completions", { ...events(chunk("a")), ending: "hang" });
    const left = new AbortController();
    const response = await fetch(`${url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "cloud/large", messages: [], stream: true }),
      signal: left.signal,
    });
    await response.body?.getReader().read();
    left.abort();
    await eventually("the provider has seen it", () => fake.to("/chat/completions")[0]?.isGivenUp === true);
  });

  test("fallbacks serve while a local model cannot", async () => {
    const response = await ask("here");
    expect([response.status, response.headers.get("x-assistant-model")]).toEqual([200, "cloud/large"]);
  });

  test("a provider speaks and transcribes: sound and forms pass through, by its own names of the models", async () => {
    fake.script("/audio/speech", { headers: { "content-type": "audio/mpeg" }, parts: ["ID3 so", "und"] });
    const spoken = await fetch(`${url}/v1/audio/speech`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "voice", input: "Good morning.", voice: "alloy", response_format: "mp3" }),
    });
    expect([spoken.status, spoken.headers.get("content-type"), await spoken.text()]).toEqual([
      200,
      "audio/mpeg",
      "ID3 sound",
    ]);
    expect(JSON.parse(fake.to("/audio/speech")[0]?.body ?? "")).toMatchObject({ model: "tts-1", voice: "alloy" });
    fake.script("/audio/transcriptions", { headers: { "content-type": "text/plain" }, parts: ["Good morning.\n"] });
    const form = new FormData();
    form.append("file", new File(["RIFF sound"], "sound.wav", { type: "audio/wav" }));
    form.append("model", "ears");
    form.append("response_format", "text");
    const heard = await fetch(`${url}/v1/audio/transcriptions`, { method: "POST", body: form });
    expect([heard.status, await heard.text()]).toEqual([200, "Good morning.\n"]);
    const sent = fake.to("/audio/transcriptions")[0];
    expect(sent?.headers["content-type"]).toMatch(/^multipart\/form-data; boundary=/);
    expect(sent?.body).toMatch(/name="model"\r\n\r\nwhisper-1\r\n/);
    expect(sent?.body).toContain("RIFF sound");
  });
  // The last one: after it the provider is left alone for a while.
  test("a busy provider is asked again when it said so", async () => {
    const busy = json({ error: { message: "slow down" } }, { status: 429, headers: { "retry-after": "1" } });
    fake.script("/chat/completions", busy, json(WHOLE));
    expect((await ask("cloud/large")).status).toBe(200);
    expect(fake.to("/chat/completions")).toHaveLength(2);
    fake.script(
      "/chat/completions",
      json({ error: { message: "come back" } }, { status: 429, headers: { "retry-after": "30" } }),
    );
    const refused = await ask("cloud/large");
    expect(refused.headers.get("retry-after")).toBe("30");
    expect(await errorOf(refused)).toMatchObject({
      status: 429,
      code: "provider_busy",
      message: expect.stringContaining("come back"),
    });
  });
});

describe("a daemon of its own", () => {
  beforeEach(async () => {
    fake = await startProvider();
  });
  afterEach(end);

  test("a provider's models are listed, asked, streamed and shown like any other", async () => {
    await start("", { mine: '[chat]\nprovider = "cloud"\nprovider_model = "large"\naliases = ["gpt"]\n' });
    const list = (await (await fetch(`${url}/v1/models`)).json()) as {
      data: { id: string; owned_by: string; kind: string }[];
    };
    expect(list.data.map(({ id, owned_by, kind }) => [id, owned_by, kind])).toEqual([
      ["mine", "cloud", "chat"],
      ["cloud/large", "cloud", "chat"],
      ["cloud/embed-small", "cloud", "embedding"],
    ]);
    const whole = await ask("gpt", { service_tier: "flex" });
    // The provider's answer does not say which tier it was.
    expect([whole.status, await whole.json()]).toEqual([200, { ...WHOLE, service_tier: "flex" }]);
    expect([whole.headers.get("x-assistant-model"), whole.headers.get("x-assistant-instance")]).toEqual([
      "mine",
      "remote:cloud",
    ]);
    expect(JSON.parse(fake.to("/chat/completions")[0]?.body ?? "")).toMatchObject({
      model: "large",
      service_tier: "flex",
    });
    expect(fake.to("/chat/completions")[0]?.headers.authorization).toBe("Bearer sk-secret");
    const streamed = await ask("cloud/large", { stream: true });
    expect(await streamed.text()).toBe(STREAM.map((data) => `data: ${data}\n\n`).join(""));
    const vectors = await fetch(`${url}/v1/embeddings`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "cloud/embed-small", input: "Rhine" }),
    });
    expect(await vectors.json()).toMatchObject({ data: [{ embedding: [0.5, 0.25] }] });

    const shown = await Promise.all(
      [["provider", "list"], ["list"], ["show", "mine"], ["status"], ["doctor"]].map(
        async (command) => (await assistant.run(command)).stdout,
      ),
    );
    const [table = "", listed = "", show = "", status = "", doctor = ""] = shown;
    expect(table).toMatch(/^cloud +openai-compatible +http\S+ +up +set +1 +0 of 64 +3 /m);
    expect(listed).toMatch(/^mine +chat .* at cloud$/m);
    expect(listed).toContain("cloud offers cloud/large, cloud/embed-small");
    expect(show).toMatch(/^served by +cloud: large$/m);
    expect(status).toMatch(/Providers: 1 provider, 1 up, 3 models/);
    expect(doctor).toMatch(/cloud +http\S+, 2 models/);
    expect((await assistant.run(["run", "cloud/large", "Name a river."])).stdout.trim()).toBe("Rhine");
    const load = await assistant.run(["load", "mine"]);
    expect([load.exitCode, load.stderr]).toEqual([4, expect.stringContaining("is served by a provider")]);
    const metrics = await (await fetch(`${url}/metrics`)).text();
    expect(metrics).toContain('assistant_provider_up{provider="cloud"} 1');
    expect(metrics).toMatch(/assistant_tokens_total\{model="mine",kind="prompt"\} 7/);
    expect([...shown, metrics, await assistant.daemonLog()].join("\n")).not.toContain("sk-secret");
  });

  test("a rejected key is the owner's to mend, a reload takes the new one over", async () => {
    fake.script("/models", json({ error: { message: "no such key" } }, { status: 401 }));
    await start('[[providers]]\nname = "filed"\nbase_url = "BASE"\napi_key_file = "key"\n'.replace("BASE", fake.url));
    expect(await errorOf(await ask("cloud/large"))).toMatchObject({ status: 404, code: "model_not_found" });
    expect(await provider("cloud")).toMatchObject({
      state: "down",
      lastError: expect.stringContaining("rejects the key of the environment variable CLOUD_KEY"),
    });
    expect((await assistant.run(["doctor"])).stdout).toMatch(/✗ filed .*requires a key/);
    fake.script("/models", json({ data: [{ id: "large" }] }));
    await writeFile(join(assistant.root, "key"), "sk-new\n", { mode: 0o600 });
    await assistant.reload();
    await eventually("the provider is up", async () => (await provider("filed"))?.state === "up");
    expect((await ask("filed/large")).status).toBe(200);
    expect(fake.to("/chat/completions").at(-1)?.headers.authorization).toBe("Bearer sk-new");
  });

  test("another Assistant is a provider, and two that name each other do not list their models in circles", async () => {
    const other = await nodes.start({ models: { river: "" } });
    const circle = (name: string, to: string): string =>
      `\n[[providers]]\npreset = "assistant"\nname = "${name}"\nbase_url = "${to}/v1"\n`;
    await start(circle("other", other.url), { mine: '[chat]\nprovider = "other"\nprovider_model = "river"\n' });
    const listed = async (at: string): Promise<string[]> =>
      ((await (await fetch(`${at}/v1/models`)).json()) as { data: { id: string }[] }).data.map(({ id }) => id);
    expect(await listed(url)).toEqual(["mine", "cloud/large", "cloud/embed-small", "other/river"]);
    await appendFile(join(other.assistant.root, "config.toml"), circle("back", url));
    await other.assistant.reload();
    await eventually("the other one lists ours", async () => (await listed(other.url)).join() === "river,back/mine");
    await appendFile(join(assistant.root, "config.toml"), "weight = 2\n".replace(/^/, circle("again", other.url)));
    await assistant.reload();
    await eventually("the list was read again", async () => (await listed(url)).includes("again/river"));
    expect((await listed(url)).filter((name) => name.includes("back"))).toEqual([]);
    const response = await postChat(other.url, chatBody("back/mine", { tokens: 3 }));
    expect([response.status, response.headers.get("x-assistant-instance")]).toEqual([200, "remote:back"]);
  });

  test("a provider's moderation models moderate, and no other model does", async () => {
    await fake[Symbol.asyncDispose]();
    fake = await startProvider(["large", "omni-moderation-latest"]);
    const answer = {
      id: "modr-1",
      model: "omni-moderation-latest",
      results: [{ flagged: true, categories: { violence: true }, category_scores: { violence: 0.91 } }],
    };
    fake.script("/moderations", json(answer));
    await start();
    const moderate = (body: object): Promise<Response> =>
      fetch(`${url}/v1/moderations`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
      });
    await eventually("the provider is up", async () => (await provider("cloud"))?.state === "up");
    expect(await (await moderate({ input: "I will hit you." })).json()).toEqual(answer);
    expect(JSON.parse(fake.to("/moderations")[0]?.body ?? "")).toEqual({
      model: "omni-moderation-latest",
      input: "I will hit you.",
    });
    expect(await errorOf(await moderate({ input: ["a"], model: "cloud/large" }))).toMatchObject({
      status: 400,
      code: "wrong_model_kind",
      message: expect.stringMatching(/"cloud\/large" is a chat model and does not moderate\..*omni-moderation-latest/),
    });
    expect(await errorOf(await moderate({ model: "cloud/large" }))).toMatchObject({ status: 400, param: "input" });
  });
});
