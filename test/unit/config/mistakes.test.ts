import { mkdir } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { noticeLines, site } from "./support.ts";

/** The message for a main file, without the directory. */
async function complaint(text: string): Promise<string> {
  await using at = await site({ "config.toml": text });
  const error = await at.failure();
  expect(error.code).toBe("config_invalid");
  expect(error.exitCode).toBe(78);
  expect(error.remedy).toBeTruthy();
  return error.message.replaceAll(`${at.root}/`, "");
}

it("line endings of Windows are none, behind comments neither, and lines keep their numbers", async () => {
  await using at = await site({ "config.toml": "[scheduler]\r\n# Mine\r\nmax_instances = 3 # few\r\n" });
  expect((await at.load()).scheduler.maxInstances).toBe(3);
  expect(await complaint("# Mine\r\n[shceduler] # off\r\n")).toContain("config.toml:2: shceduler");
});

describe("a mistake in the main file names line, key, expectation, value and the nearest name", () => {
  it.each([
    ["[server]\nhttp_adr = 1", "config.toml:2: server.http_adr: unknown key in [server] (did you mean `http_addr`?)"],
    ["[shceduler]\n", "config.toml:1: shceduler: unknown key or section (did you mean `scheduler`?)"],
    [
      "\n\n[scheduler]\nmax_load = 1.5",
      "config.toml:4: scheduler.max_load: expected a number above 0 and at most 1, found 1.5",
    ],
    [
      "[scheduler]\nmax_load = 0",
      "config.toml:2: scheduler.max_load: expected a number above 0 and at most 1, found 0",
    ],
    [
      '[scheduler]\nmax_instances = "ten"',
      'config.toml:2: scheduler.max_instances: expected an integer of at least 1, found "ten"',
    ],
    [
      "[scheduler]\nmax_instances = 2.5",
      "config.toml:2: scheduler.max_instances: expected an integer of at least 1, found 2.5",
    ],
    [
      "[scheduler]\nmax_instances = 99999999999999999999",
      "config.toml:2: scheduler.max_instances: expected an integer of at least 1, found a number too large",
    ],
    [
      '[scheduler]\nthread_budget = "all"',
      'config.toml:2: scheduler.thread_budget: expected an integer of at least 1 or "auto", found "all"',
    ],
    ["max_load = 0.5", "config.toml:1: max_load: unknown key or section; it belongs in [scheduler]"],
    [
      '[log]\nlevel = "warning"',
      'config.toml:2: log.level: expected one of "debug", "info", "warn", "error", found "warning" (did you mean "warn"?)',
    ],
    ["server = 3", "config.toml:1: server: expected a table, found 3"],
    [
      "[llama_servers]\nname = 'x'",
      "config.toml:1: llama_servers: expected an array of tables, found a table; write [[llama_servers]]",
    ],
    ["[[llama_servers]]\nport = 8000", "config.toml:1: llama_servers[0]: `name` is missing: expected a string"],
    [
      '[[llama_servers]]\nname = "a"',
      "config.toml:1: llama_servers[0]: names no weights: write `chat_model_path`, `embedding_model_path` or `tts_model_path`",
    ],
    [
      '[[llama_servers]]\nname = "a b"\nchat_model_path = "x.gguf"',
      /^config\.toml:2: llama_servers\[0\]\.name: "a b" cannot be a model's name: expected up to 128 letters/,
    ],
    [
      '[server]\nhttp_addr = "127.0.0.1"',
      /^config\.toml:2: server\.http_addr: expected host:port .* found "127\.0\.0\.1"; the port is missing$/,
    ],
    ['[server]\nhttp_addr = "http://localhost:80"', /; leave out the scheme$/],
    [
      '[server]\nhttp_addr = "127.0.0.1:99999"',
      /^config\.toml:2: server\.http_addr: expected host:port with a port from 0 to 65535/,
    ],
    [
      '[server]\ncors_origins = [\n  "http://a",\n  "a.example"\n]',
      'config.toml:4: server.cors_origins[1]: expected an origin such as "https://chat.example.org", or "*", found "a.example"',
    ],
    [
      '[server]\napi_key = "s3cret"',
      /^config\.toml:2: server\.api_key: unknown key in \[server\]; keys are stored hashed: write/,
    ],
    [
      "quux = 1979-05-27",
      "config.toml:1: quux: unknown key or section; known are server, gateway, scheduler, tasks, capabilities, conversations, store, cluster, workers, pipelines, llama_servers, remote_servers, worker_pools, providers, engine, log, telemetry",
    ],
  ])("%j", async (text, expected) => {
    const message = await complaint(text);
    if (typeof expected === "string") expect(message).toBe(expected);
    else expect(message).toMatch(expected);
  });
});

it("all mistakes are listed at once", async () => {
  const message = await complaint(
    "a = 1\n[server]\nbody_limit_mib = 0\n[scheduler]\nmax_load = 3\nmax_instances = -1\nfoo = 1\n[log]\nlevel = 3\n[engine]\nllama_server_path = 1\nbar = 2\nbaz = 3\n",
  );
  expect(message.split("\n")[0]).toBe("9 mistakes in the configuration:");
  expect(
    message
      .split("\n")
      .slice(1)
      .map((line) => /:(\d+):/.exec(line)?.[1]),
  ).toEqual(["1", "3", "5", "6", "7", "9", "11", "12", "13"]);
});

it("a pasted key never appears in a message", async () => {
  for (const text of [
    '[server]\napi_key_sha256 = "s3cret"',
    '[server]\napi_key_sha256 = [{ name = "me", sha256 = "s3cret" }]',
  ]) {
    const message = await complaint(text);
    expect(message).toMatch(/config\.toml:2/);
    expect(message).not.toContain("s3cret");
  }
});

it("what is not TOML is told with its line", async () => {
  expect(await complaint('[server]\nhttp_addr = "127.0.0.1:8080\n[log]\n')).toMatch(
    /^config\.toml:2: not valid TOML: /,
  );
  expect(await complaint("a = 1\na = 2")).toMatch(/^config\.toml:2: not valid TOML: Can't redefine existing key$/);
});

it("a path that is a directory is told as such", async () => {
  await using at = await site({});
  await mkdir(at.configFile);
  expect((await at.failure()).message).toBe(`${at.configFile}: cannot be read: it is a directory, not a file`);
});

it("one bad model file never stops the others", async () => {
  await using at = await site({
    "models/a-syntax.toml": '[chat]\nsource = "unterminated\n',
    "models/b-key.toml": '[chat]\nsource = "smollm2"\nctx_sise = 1\ntemp = "hot"\n',
    "models/c-good.toml": '[chat]\nsource = "smollm2"\n',
    "models/d-template.toml":
      '[chat]\nsource = "smollm2"\nprompt_template = "chatlm"\n[embedding]\nsource = "x.gguf"\n',
    "models/e-source.toml": '[chat]\nsource = "https://example.org/x.gguf"\n',
    "models/notes.txt": "not a model file",
  });
  const config = await at.load();
  expect(config.models.map(({ name }) => name)).toEqual(["c-good", "d-template-embedding"]);
  const lines = noticeLines(config, at).filter((line) => !line.includes("config.toml"));
  expect(lines).toEqual([
    expect.stringMatching(/^error models\/a-syntax\.toml:2: not valid TOML/),
    expect.stringMatching(
      /^error models\/b-key\.toml:3: chat\.ctx_sise: unknown key in \[chat\] \(did you mean `ctx_size`\?\); the models of this file are left out$/,
    ),
    expect.stringMatching(/^error models\/b-key\.toml:4: chat\.temp: expected a number of at least 0, found "hot"/),
    expect.stringMatching(
      /^error models\/d-template\.toml:3: chat\.prompt_template: .*found "chatlm".*"chatml"\?\). The model "d-template" is left out/,
    ),
    expect.stringMatching(/^error models\/e-source\.toml:2: chat\.source: expected a catalog name .*`assistant pull`/),
  ]);
});
