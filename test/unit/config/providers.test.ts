import { chmod } from "node:fs/promises";
import { expect, it } from "vitest";
import { model, noticeLines, site } from "./support.ts";

const OPENAI = '[[providers]]\npreset = "openai"\n';

it("a preset brings address and key, and every key that is written wins over it", async () => {
  await using at = await site({
    "config.toml": `${OPENAI}[[providers]]\npreset = "openai"\nname = "work"\nbase_url = "https://proxy.example/v1/"\napi_key_env = "WORK_KEY"\nheaders = ["X-Title: Test"]\nmodels = ["gpt-*"]\nweight = 2\nmax_concurrency = 3\ntimeout_s = 5\nconnect_timeout_s = 1\nenabled = false\n`,
  });
  const config = await at.load({ env: { OPENAI_API_KEY: "sk-1\n", WORK_KEY: "sk-2" } });
  expect(config.providers).toEqual([
    {
      name: "openai",
      type: "openai-compatible",
      baseUrl: "https://api.openai.com/v1",
      apiKey: "sk-1",
      keySource: "the environment variable OPENAI_API_KEY",
      headers: {},
      proxy: null,
      connectTimeoutMs: 10_000,
      silenceTimeoutMs: 600_000,
      weight: 1,
      maxConcurrency: 64,
      discovery: true,
      models: null,
      takesLlamaFields: false,
      limitField: "max_completion_tokens",
      isAssistant: false,
      enabled: true,
    },
    expect.objectContaining({
      name: "work",
      baseUrl: "https://proxy.example/v1",
      apiKey: "sk-2",
      headers: { "x-title": "Test" },
      models: ["gpt-*"],
      weight: 2,
      maxConcurrency: 3,
      connectTimeoutMs: 1_000,
      silenceTimeoutMs: 5_000,
      enabled: false,
    }),
  ]);
  expect(config.notices).toEqual([]);
});

it.each([
  [
    '[[providers]]\npreset = "open-ai"',
    /^config\.toml:2: providers\[0\]\.preset: expected one of "openai", .* \(did you mean "openai"\?\)$/,
  ],
  [
    '[[providers]]\nbase_url = "http://a/v1"',
    'config.toml:1: providers[0]: `name` is missing: expected a name such as "openai", or a `preset`',
  ],
  ['[[providers]]\nname = "a"', /`base_url` is missing: expected the address of its API with the version/],
  ['[[providers]]\nname = "a b"\nbase_url = "http://a/v1"', /"a b" cannot be a provider's name/],
  ['[[providers]]\nname = "a"\nbase_url = "ftp://a/v1"', /providers\[0\]\.base_url: expected an address such as/],
  ['[[providers]]\nname = "a"\nbase_url = "http://me:pw@a/v1"', /contains a user or a password/],
  ['[[providers]]\nname = "a"\nbase_url = "http://a/v1/chat/completions"', /is the URL of a single call/],
  [
    `${OPENAI}${OPENAI}`,
    'config.toml:3: providers[1]: two providers have the name "openai", the other at config.toml:1; rename one',
  ],
  [
    '[[remote_servers]]\nname = "a"\ngrpc_addr = "a:1"\n[[providers]]\nname = "a"\nbase_url = "http://a/v1"',
    /a remote server and a provider have the name "a"/,
  ],
  [`${OPENAI}api_key_env = "A"\napi_key_file = "a"`, /there is an `api_key_env` too; keep one of the two/],
  [`${OPENAI}api_key = "sk-secret"`, /unknown key .*`api_key_env`/],
  [`${OPENAI}headers = ["sk-secret"]`, /expected a header such as/],
])("%j is refused with line, key and what to write", async (text, expected) => {
  await using at = await site({ "config.toml": text });
  const message = (await at.failure({ env: { OPENAI_API_KEY: "k" } })).message.replaceAll(`${at.root}/`, "");
  if (typeof expected === "string") expect(message).toBe(expected);
  else expect(message).toMatch(expected);
  expect(message).not.toContain("sk-secret");
});

it("a key that is not there is a warning: what needs none still serves", async () => {
  await using at = await site({
    "config.toml": `${OPENAI}[[providers]]\npreset = "groq"\nenabled = false\n[[providers]]\npreset = "ollama"\n`,
  });
  const config = await at.load();
  expect(config.providers.map(({ apiKey }) => apiKey)).toEqual([null, null, null]);
  expect(noticeLines(config, at)).toEqual([
    "warning config.toml:2: providers[0].preset: the environment variable OPENAI_API_KEY is not set, so the provider is called without a key; set it for the daemon",
  ]);
});

it("a key is read from a file of one line, which is watched, and whose readers are told of", async () => {
  await using at = await site({ "config.toml": `${OPENAI}api_key_file = "openai.key"\n`, "openai.key": "sk-file\n" });
  await chmod(at.file("openai.key"), 0o600);
  const config = await at.load();
  expect(config.providers[0]).toMatchObject({ apiKey: "sk-file", keySource: `the file ${at.file("openai.key")}` });
  expect([config.namedFiles, config.notices]).toEqual([[at.file("openai.key")], []]);
  await chmod(at.file("openai.key"), 0o644);
  expect(noticeLines(await at.load(), at)).toEqual([
    "warning config.toml:3: providers[0].api_key_file: openai.key can be read by other users; run `chmod 600 openai.key`",
  ]);
});

it.each([
  ["two\nlines", "does not contain a single key"],
  ["", "is empty, so the provider is called without a key"],
])("a key file with %j is told of and not used", async (content, problem) => {
  await using at = await site({ "config.toml": `${OPENAI}api_key_file = "k"\n`, k: content });
  const config = await at.load();
  expect(config.providers[0]?.apiKey).toBeNull();
  expect(noticeLines(config, at)[0]).toContain(problem);
});

it("proxies hold as everywhere, and never for this machine", async () => {
  const entry = (name: string, url: string): string => `[[providers]]\nname = "${name}"\nbase_url = "${url}"\n`;
  await using at = await site({
    "config.toml": [
      entry("a", "https://a.example/v1"),
      entry("b", "http://b.example/v1"),
      entry("c", "https://c.inside.example/v1"),
      entry("d", "http://127.0.0.1:1/v1"),
      entry("e", "http://[::1]:1/v1"),
    ].join(""),
  });
  const env = { HTTPS_PROXY: "http://proxy:1", http_proxy: "http://proxy:2", NO_PROXY: "x, .inside.example" };
  expect((await at.load({ env })).providers.map(({ proxy }) => proxy)).toEqual([
    "http://proxy:1",
    "http://proxy:2",
    null,
    null,
    null,
  ]);
});

it("a model file names a provider and starts nothing here", async () => {
  await using at = await site({
    "config.toml": '[[providers]]\npreset = "ollama"\n[[providers]]\npreset = "lmstudio"\n',
    "models/mine.toml":
      '[chat]\nprovider = "ollama"\nprovider_model = "qwen3:8b"\nctx_size = 8192\ninclude_usage = true\nfallbacks = ["other"]\naliases = ["m"]\n',
    "models/other.toml": '[chat]\nprovider = ["ollama", "lmstudio"]\nprovider_model = ["a", "b/c"]\n',
    "models/vectors.toml": '[embedding]\nmodel_name = "nomic"\nprovider = "ollama"\n',
  });
  const config = await at.load();
  expect(config.notices).toEqual([]);
  expect(model(config, "mine")).toMatchObject({
    aliases: ["m"],
    nodes: ["ollama"],
    source: { type: "provider", offers: [{ provider: "ollama", model: "qwen3:8b" }] },
    load: { contextTokens: 8192, slots: 64 },
    includeUsage: true,
    fallbacks: ["other"],
    replicas: 0,
    file: at.file("models/mine.toml"),
  });
  expect(model(config, "other").source).toEqual({
    type: "provider",
    offers: [
      { provider: "ollama", model: "a" },
      { provider: "lmstudio", model: "b/c" },
    ],
  });
  expect(model(config, "nomic")).toMatchObject({ kind: "embedding", source: { offers: [{ model: "nomic" }] } });
});

it.each([
  ['provider = "olama"\nprovider_model = "a"', 'chat.provider: no provider is called "olama" (did you mean "ollama"?)'],
  ['provider = "ollama"', "chat.provider_model: is missing: expected the provider's own name of the model"],
  ['provider = "ollama"\nprovider_model = "a"\nsource = "smollm2"', "chat.source: conflicts with `provider`"],
  ['provider_model = "a"\nsource = "smollm2"', "chat.provider_model: `provider` is missing"],
  [
    'provider = "ollama"\nprovider_model = "a"\nn_gpu_layers = 5',
    "chat.n_gpu_layers: has no effect on a model that a provider serves; remove it",
  ],
  [
    'provider = ["ollama", "anthropic"]\nprovider_model = "a"\nmin_p = 0.1',
    'chat.min_p: the API of the provider "anthropic" (anthropic) has no such setting; remove it',
  ],
  [
    'provider = ["ollama"]\nprovider_model = ["a", "b"]',
    "chat.provider_model: expected one name, or one for each of the 1 providers, found 2",
  ],
])("[chat] with %j is refused", async (section, expected) => {
  await using at = await site({
    "config.toml": '[[providers]]\npreset = "ollama"\n[[providers]]\npreset = "anthropic"\n',
    "models/a.toml": `[chat]\n${section}\n`,
  });
  const config = await at.load();
  expect(config.models.filter(({ source }) => source.type === "provider")).toEqual([]);
  expect(noticeLines(config, at).join("\n")).toContain(expected);
});

it("sampling of a provider's model is kept for requests that do not say otherwise", async () => {
  await using at = await site({
    "config.toml": '[[providers]]\npreset = "ollama"\n',
    "models/a.toml":
      '[chat]\nprovider = "ollama"\nprovider_model = "a"\ntemp = 0.5\ntop_p = 0.9\nn_predict = 9\nreverse_prompt = "END"\n',
  });
  const config = await at.load();
  expect(config.notices).toEqual([]);
  expect(model(config, "a").sampling).toMatchObject({ temperature: 0.5, topP: 0.9, maxTokens: 9, stop: ["END"] });
});

it("a local model has fallbacks; those that can never stand in are told of", async () => {
  await using at = await site({
    "config.toml": "",
    "models/a.toml": '[chat]\nsource = "smollm2"\nfallbacks = ["a", "b", "vectors", "c"]\n',
    "models/b.toml": '[chat]\nsource = "smollm2"\n',
    "models/vectors.toml": '[embedding]\nsource = "smollm2"\n',
  });
  const config = await at.load();
  expect(model(config, "a").fallbacks).toEqual(["a", "b", "vectors", "c"]);
  expect(model(config, "b")).not.toHaveProperty("fallbacks");
  expect(noticeLines(config, at)).toEqual([
    "warning models/a.toml:3: chat.fallbacks[0]: is the model itself; remove it",
    expect.stringMatching(/chat\.fallbacks\[2\]: "vectors" is of another kind \(embedding\)/),
    expect.stringMatching(/chat\.fallbacks\[3\]: no model is called "c"/),
  ]);
});
