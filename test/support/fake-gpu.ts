import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { packageRoot } from "./assistant.ts";
import { type FakeInstallation, type FakeSetup, installFakes } from "./fake-installation.ts";
import { ggufPieces } from "./gguf-writer.ts";

/** An installation on a machine with one GPU of 81,559 MiB, in the eyes of a fake nvidia-smi. */
export interface GpuInstallation extends FakeInstallation {
  /** What other programs use, MiB. */
  others(mib: number): Promise<void>;
  /** Whether the memory of processes that have ended stays taken. */
  linger(on: boolean): Promise<void>;
  /** How often the GPU's memory was read. */
  readings(): Promise<number>;
}

/**
 * Every model's file is a header alone whose cache is estimated at 4 GiB of a GPU for each slot of 8192 tokens; its
 * engine, which computes nothing, counts as using `usesMib` of it.
 */
export async function installOnGpu(setup: FakeSetup & { readonly usesMib: number }): Promise<GpuInstallation> {
  const folder = await mkdtemp(join(tmpdir(), "assistant-gpu-"));
  const calls = join(folder, "calls");
  const tools = join(folder, "tools");
  await mkdir(tools);
  await symlink(join(packageRoot, "test/fakes/nvidia-smi"), join(tools, "nvidia-smi"));
  await writeFile(join(folder, "other"), "0");
  const env = {
    PATH: `${tools}:${process.env["PATH"] ?? ""}`,
    FAKE_GPUS: "1",
    FAKE_GPU_MEMORY: folder,
    FAKE_GPU_CALLS: calls,
  };
  const assistant = await installFakes({ ...setup, env: { ...env, ...setup.env } });
  for (const name of Object.keys(setup.models)) {
    await writeFile(assistant.weights(name), header());
    await writeFile(`${assistant.weights(name)}.gpu.json`, JSON.stringify({ folder, mib: setup.usesMib }));
  }
  return {
    ...assistant,
    others: (mib) => writeFile(join(folder, "other"), String(mib)),
    linger: (on) => (on ? writeFile(join(folder, "linger"), "") : rm(join(folder, "linger"), { force: true })),
    readings: async () =>
      (await readFile(calls, "utf8").catch(() => "")).split("\n").filter((line) => line.startsWith("--query-gpu"))
        .length,
    async [Symbol.asyncDispose]() {
      await assistant[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}

/** Of a model with 32 layers and 32 heads of 128: a token's keys and values take 512 KiB. */
function header(): Buffer {
  const facts = {
    "general.architecture": { text: "llama" },
    "llama.block_count": { u32: 32 },
    "llama.context_length": { u32: 8192 },
    "llama.embedding_length": { u32: 4096 },
    "llama.feed_forward_length": { u32: 4096 },
    "llama.attention.head_count": { u32: 32 },
    "llama.attention.head_count_kv": { u32: 32 },
    "llama.vocab_size": { u32: 2 },
    "tokenizer.ggml.model": { text: "llama" },
    "tokenizer.ggml.tokens": { texts: ["a", "b"] },
  };
  const tensor = { name: "token_embd.weight", shape: [8, 8], data: new Uint8Array(256) };
  return Buffer.concat(ggufPieces(new Map(Object.entries(facts)), [tensor]));
}
