import { expect, test } from "vitest";
import { isAssistantError } from "../../../src/core/errors.ts";
import type { ModelSpec } from "../../../src/core/model.ts";
import { createCommandEngine } from "../../../src/engines/command/engine.ts";
import { cpu, modelSpec, planFor } from "../../conformance/engine-process.ts";
import { commandSettings } from "../../support/openai-server.ts";

const engine = createCommandEngine({ HF_TOKEN: "of the daemon", SECRET: "of the daemon" });
const gpu = { ...cpu, id: "cuda:3", vendor: "nvidia", env: { CUDA_VISIBLE_DEVICES: "GPU-1" } } as const;

const planOf = (run: readonly string[], settings: Parameters<typeof commandSettings>[1] = {}) => {
  const model: ModelSpec = { ...modelSpec("command", ""), command: commandSettings(run, { env: {}, ...settings }) };
  return { ...planFor(model, "Qwen/Qwen3-8B", "/run/e.sock"), threads: 3, device: gpu, port: 4711 };
};

test("placeholders become what the launch plan says, several in one argument too; a GPU is number 0 to the program", () => {
  const run = ["serve", "{model}", "--listen=127.0.0.1:{port}", "{device}", "{threads}/{slots}", "{context}", "{name}"];
  expect(engine.launch(planOf(run))).toMatchObject({
    command: "serve",
    args: ["Qwen/Qwen3-8B", "--listen=127.0.0.1:4711", "cuda:0", "3/2", "1024", "smol"],
  });
  expect(engine.launch(planOf(["serve", "{socket}"])).args).toEqual(["/run/e.sock"]);
});

test("other braces stay as they are: there is no shell, and nothing else is expanded", () => {
  const written = ['{"temperature": {"a": 1}}', "{{ messages }}", "$HOME", "*", "a b"];
  expect(engine.launch(planOf(["serve", "{port}", ...written])).args.slice(1)).toEqual(written);
});

test("the device's environment hides other GPUs, what the file sets comes last, and only named variables are inherited", () => {
  const settings = { env: { HF_HOME: "/data/{name}", CUDA_VISIBLE_DEVICES: "0,1" }, passEnv: ["HF_TOKEN", "MISSING"] };
  expect(engine.launch(planOf(["serve", "{port}"])).env).toEqual(gpu.env);
  expect(engine.launch(planOf(["serve", "{port}"], settings)).env).toEqual({
    HF_TOKEN: "of the daemon",
    HF_HOME: "/data/smol",
    CUDA_VISIBLE_DEVICES: "0,1",
  });
});

test("how it ends and where it listens are the file's to say", () => {
  const plan = planOf(["serve", "{port}"], { stopSignal: "SIGINT", stopGraceMs: 7_000, ownListener: false });
  expect(engine.launch(plan).stop).toEqual({ signal: "SIGINT", graceMs: 7_000 });
  expect(engine.listens?.(plan.model)).toEqual({ type: "port", ownListener: false });
  expect(engine.listens?.(planOf(["serve", "{socket}"]).model)).toEqual({ type: "socket" });
});

test("a working directory that is none is refused, naming the key", () => {
  try {
    engine.launch(planOf(["serve", "{port}"], { workingDir: "/nowhere" }));
    throw new Error("was not refused");
  } catch (error) {
    if (!isAssistantError(error)) throw error;
    expect([error.code, error.param]).toEqual(["config_invalid", "working_dir"]);
  }
});
