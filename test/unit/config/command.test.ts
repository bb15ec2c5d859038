import { expect, test } from "vitest";
import type { ModelSpec } from "../../../src/core/model.ts";
import { model, noticeLines, site } from "./support.ts";

const RUN = 'run = ["vllm", "serve", "{model}", "--port", "{port}"]';

async function read(file: string): Promise<{ spec: ModelSpec | null; notices: string[]; root: string }> {
  await using at = await site({ "models/m.toml": file });
  const config = await at.load();
  const spec = config.models.length === 0 ? null : model(config, "m");
  return { spec, notices: noticeLines(config, at), root: at.root };
}

const chat = (command: string, section = 'source = "Qwen/Qwen3-8B"'): string =>
  `[chat]\nengine = "command"\n${section}\n[command]\n${command}`;

test("a program with all its settings", async () => {
  const { spec, notices, root } = await read(
    chat(`run = ["./serve.sh", "{model}", "--uds", "{socket}"]
operations = ["chat"]
served_model = "{name}-1"
health_path = "/v1/models"
env = { HF_HOME = "/data/hf", THREADS = "{threads}" }
pass_env = ["HF_TOKEN"]
working_dir = "work"
stop_signal = "SIGINT"
stop_grace_s = 30
memory_mib = 9000
own_listener = false`),
  );
  expect(notices).toEqual([]);
  expect(spec).toMatchObject({
    engine: "command",
    source: { type: "opaque", reference: "Qwen/Qwen3-8B" },
    operations: ["chat"],
    command: {
      run: [`${root}/models/serve.sh`, "{model}", "--uds", "{socket}"],
      listens: "socket",
      ownListener: false,
      healthPath: "/v1/models",
      env: { HF_HOME: "/data/hf", THREADS: "{threads}" },
      passEnv: ["HF_TOKEN"],
      workingDir: `${root}/models/work`,
      stopSignal: "SIGINT",
      stopGraceMs: 30_000,
      servedModel: "m-1",
      memoryMib: 9000,
    },
  });
});

test("defaults: all operations of the kind, /health, SIGTERM, ten seconds", async () => {
  const { spec } = await read(chat(RUN));
  expect(spec?.operations).toBeUndefined();
  expect(spec?.command).toMatchObject({
    ...{ listens: "port", ownListener: true, healthPath: "/health", stopSignal: "SIGTERM", stopGraceMs: 10_000 },
    ...{ servedModel: "", memoryMib: null, workingDir: "" },
  });
});

test("a source that is a path becomes an absolute one, and a model without one has no {model}", async () => {
  const { spec, root } = await read(chat(RUN, 'source = "./weights"'));
  expect(spec?.source).toEqual({ type: "opaque", reference: `${root}/models/weights` });
  const { spec: bare, notices } = await read(chat('run = ["serve", "{port}"]', ""));
  expect([bare?.source, notices]).toEqual([{ type: "opaque", reference: "" }, []]);
});

test("another command line is another fingerprint", async () => {
  const [one, other] = await Promise.all([read(chat(RUN)), read(chat(RUN.replace("serve", "run")))]);
  expect(one.spec?.fingerprint).not.toBe(other.spec?.fingerprint);
});

test.each<[string, string, RegExp]>([
  ["no program", '[chat]\nengine = "command"\nsource = "a/b"', /chat\.engine: there is no program: write `run = /],
  ["no place to listen", chat('run = ["serve", "{model}"]'), /command\.run: needs \{port\} or \{socket\}/],
  ["two places", chat('run = ["serve", "{port}", "{socket}"]'), /command\.run: has both \{port\} and \{socket\}/],
  [
    "a misspelled placeholder",
    chat('run = ["serve", "{prot}"]'),
    /there is no placeholder \{prot\}; did you mean \{port\}\?/,
  ],
  ["{model} without a source", chat(RUN, ""), /chat\.source: is missing, but `run` contains \{model\}/],
  [
    "a setting of the llama.cpp",
    chat(RUN, 'source = "a/b"\nn_gpu_layers = 3'),
    /chat\.n_gpu_layers: is a setting of the llama\.cpp engines/,
  ],
  [
    "operations of another kind",
    chat(`${RUN}\noperations = ["rerank"]`),
    /command\.operations: has none that a chat model supports/,
  ],
  ["an empty section", chat(""), /`run` is missing/],
  ["a health path that is none", chat(`${RUN}\nhealth_path = "health"`), /expected a path such as "\/health"/],
  [
    "a variable that is none",
    chat(`${RUN}\nenv = { "A B" = "1" }`),
    /"A B" cannot be a key of \[command\.env\]: expected the name of a variable/,
  ],
  ["a signal that is none", chat(`${RUN}\nstop_signal = "SIGKILL"`), /expected one of "SIGTERM", "SIGINT"/],
])("%s is refused, and the model left out", async (_what, file, message) => {
  const { spec, notices } = await read(file);
  expect(spec).toBeNull();
  expect(notices.join("\n")).toMatch(message);
});

test("a program that nothing uses is a warning", async () => {
  const { notices } = await read(`[chat]\nsource = "smollm2"\n[command]\n${RUN}`);
  expect(notices.join("\n")).toMatch(
    /warning .*command: has no effect, because no section of this file says `engine = "command"`/,
  );
});

test("a value of the environment is never shown", async () => {
  const { notices } = await read(chat(`${RUN}\nenv = { TOKEN = 12345678 }`));
  expect(notices.join("\n")).toMatch(/command\.env\.TOKEN: expected a string/);
  expect(notices.join("\n")).not.toContain("12345678");
});

test("a reranking model has a section of its own, and a name beside another model of its file", async () => {
  await using at = await site({ "models/m.toml": '[chat]\nsource = "smollm2"\n[rerank]\nsource = "./judge.gguf"' });
  const config = await at.load();
  expect(model(config, "m-rerank")).toMatchObject({ kind: "rerank", load: { contextTokens: 512, batchTokens: 512 } });
  expect(noticeLines(config, at)).toEqual([]);
});

test("an entry of the main file that brings the path brings it to the program, whatever it is", async () => {
  await using at = await site({
    "config.toml": '[[llama_servers]]\nname = "x"\nconfig_path = "x.toml"\nchat_model_path = "/data/folder"\n',
    "x.toml": chat(RUN, ""),
  });
  const config = await at.load();
  expect(model(config, "x").source).toEqual({ type: "opaque", reference: "/data/folder" });
  expect(noticeLines(config, at)).toEqual([]);
});
