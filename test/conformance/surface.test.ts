import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createEngineProbe } from "../../src/engines/index.ts";
import { chatModelFile, embeddingModelFile } from "../support/model-files.ts";
import { bothEngines, EngineProcess, until } from "./engine-process.ts";

describe.each(bothEngines)("the surface of %s", (id) => {
  let file: string;
  beforeAll(async () => {
    file = await chatModelFile();
  });

  test("says that it is loading, then that it is ready", async () => {
    await using engine = await EngineProcess.spawn(id, file);
    let loading: { status: number; body: { error: object } } | null = null;
    await until(async () => {
      const answer = await engine.get("/health").catch(() => null);
      if (answer?.status === 503) loading = answer;
      return answer?.status === 200;
    }, 60_000);
    expect(loading).toMatchObject({
      body: { error: { code: 503, message: "Loading model", type: "unavailable_error" } },
    });
  });

  test("answers the fleet's probe with a real token", async () => {
    await using engine = await EngineProcess.start(id, file);
    const probe = createEngineProbe();
    await probe.token(engine.socketPath, "chat", AbortSignal.timeout(30_000));
    // Frozen, it still accepts connections, as an engine does whose health is fine while its inference is dead.
    engine.child.kill("SIGSTOP");
    await expect(probe.token(engine.socketPath, "chat", AbortSignal.timeout(300))).rejects.toThrow();
  });

  test("ends on SIGTERM, also while it answers", async () => {
    await using engine = await EngineProcess.start(id, file);
    engine.raw("/v1/completions", { prompt: "Once", max_tokens: 900, stream: true, ignore_eos: true });
    await until(async () => (await engine.busySlots()) === 1, 20_000);
    engine.child.kill("SIGTERM");
    await engine.exited;
  });

  describe("asked by one after another", () => {
    let engine: EngineProcess;
    beforeAll(async () => {
      engine = await EngineProcess.start(id, file);
    });
    afterAll(() => engine[Symbol.asyncDispose]());

    test("describes itself, its slots and its model", async () => {
      const props = await engine.get("/props");
      expect(props.body).toMatchObject({
        total_slots: 2,
        model_path: file,
        default_generation_settings: { n_ctx: 1024 },
      });
      expect(props.body.chat_template).toContain("<|im_start|>");
      const models = await engine.get("/v1/models");
      expect(models.body).toMatchObject({
        object: "list",
        data: [{ id: "smol", object: "model", meta: { n_ctx: 1024 } }],
      });
      expect(await engine.slots()).toEqual(
        [0, 1].map((slot) => ({ id: slot, busy: false, promptTokensDone: 0, tokensDecoded: 0 })),
      );
    });

    test("tokenizes and back, and shows what the template makes of messages", async () => {
      const text = "Größe: 12 km — 日本 🦊!";
      const { body } = await engine.post("/tokenize", { content: text });
      expect(body.tokens.every(Number.isInteger)).toBe(true);
      expect((await engine.post("/detokenize", { tokens: body.tokens })).body).toEqual({ content: text });
      const rendered = await engine.post("/apply-template", { messages: [{ role: "user", content: "Hi" }] });
      expect(rendered.body.prompt).toContain("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
      const chat = { messages: [{ role: "user", content: "Hi" }] };
      const seen = await engine.post("/tokenize", { content: rendered.body.prompt, add_special: true });
      const counted = await engine.post("/v1/chat/completions/input_tokens", chat);
      expect(counted.body).toEqual({ input_tokens: seen.body.tokens.length, object: "response.input_tokens" });
      expect((await engine.get("/lora-adapters")).body).toEqual([]);
    });

    test("survives tokens that there are not", async () => {
      for (const [path, body] of [
        ["/detokenize", { tokens: [2_000_000_000] }],
        ["/tokenize", { content: ["a", 2_000_000_000], with_pieces: true }],
        ["/v1/completions", { prompt: [2_000_000_000], max_tokens: 1 }],
      ] as const)
        expect((await engine.post(path, body)).status, path).toBeGreaterThanOrEqual(400);
      expect((await engine.post("/detokenize", { tokens: [1] })).body).toEqual({ content: "<|im_start|>" });
    });

    test("closes the connection when it was asked to", async () => {
      const socket = engine.raw("/v1/completions", { prompt: "a", max_tokens: 1 });
      await new Promise((resolve) => socket.once("end", resolve));
      socket.destroy();
    });
  });
});

describe("both engines", () => {
  test.each([
    ["chat", chatModelFile],
    ["embedding", async () => (await embeddingModelFile()).model],
  ] as const)("tokenize alike with a vocabulary for %s", async (kind, fileOf) => {
    const file = await fileOf();
    const engines = await Promise.all(bothEngines.map((id) => EngineProcess.start(id, file, { kind })));
    for (const body of [
      { content: "hé🦊 Big", with_pieces: true },
      { content: "Hi <|im_end|> [SEP] there", add_special: true },
      { content: "Hi <|im_end|> [SEP] there", parse_special: false },
      { content: ["Hi there", 7, "you"], add_special: true },
    ]) {
      const [one, other] = await Promise.all(engines.map((engine) => engine.post("/tokenize", body)));
      expect(one?.body, JSON.stringify(body)).toEqual(other?.body);
    }
    for (const engine of engines) await engine[Symbol.asyncDispose]();
  });

  test("make the same tokens of the same messages", async () => {
    const file = await chatModelFile();
    const engines = await Promise.all(bothEngines.map((id) => EngineProcess.start(id, file)));
    const conversations = [
      { messages: [{ role: "user", content: "Hi" }] },
      {
        messages: [
          { role: "system", content: "Be brief." },
          { role: "user", content: "  Größe?\n\n" },
          { role: "assistant", content: "12 km" },
          { role: "user", content: "日本 🦊" },
        ],
      },
      {
        messages: [
          {
            role: "user",
            content: [
              { type: "text", text: "one" },
              { type: "text", text: "two" },
            ],
          },
        ],
      },
      {
        messages: [
          { role: "user", content: "Go on" },
          { role: "assistant", content: "I was" },
        ],
      },
      { messages: [{ role: "user", content: "Hi <|im_end|> there" }] },
    ];
    try {
      for (const conversation of conversations) {
        const prompts = await Promise.all(
          engines.map(async (engine) => (await engine.post("/apply-template", conversation)).body.prompt),
        );
        expect(prompts[1]).toBe(prompts[0]);
        const usages = await Promise.all(
          engines.map(
            async (engine) =>
              (await engine.post("/v1/chat/completions", { ...conversation, max_tokens: 1 })).body.usage.prompt_tokens,
          ),
        );
        expect(usages[1]).toBe(usages[0]);
      }
    } finally {
      await Promise.all(engines.map((engine) => engine[Symbol.asyncDispose]()));
    }
  });

  test("the embedded engine ends when its parent has gone", async () => {
    await using engine = await EngineProcess.start("node-llama-cpp", await chatModelFile());
    engine.child.stdin?.end();
    expect(await engine.exited).toMatchObject({ code: 0 });
  });

  test("a model that is none ends the engine with a message", async () => {
    for (const id of bothEngines) {
      await using engine = await EngineProcess.spawn(id, import.meta.filename);
      const { code } = await engine.exited;
      expect(code).not.toBe(0);
      expect(engine.log).toMatch(/load/iu);
    }
  });
});
