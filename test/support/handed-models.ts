import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { createServer, connect as dial, type Socket } from "node:net";
import { join } from "node:path";
import { pullAndConfigure } from "../../commands/support/models/pull.ts";
import { resolvePaths } from "../../src/config/paths.ts";
import { eventually, type TestAssistant } from "./assistant.ts";
import { type GgufValue, ggufPieces } from "./gguf-writer.ts";
import type { TestNode } from "./nodes.ts";

/** A GGUF file that can be read as a small chat model, about `bytes` long; no two are the same. */
export function smallModel(bytes: number): Buffer {
  const width = 64;
  const rows = Math.max(1, Math.floor(bytes / (width * 4)));
  const metadata = new Map<string, GgufValue>([
    ["general.architecture", { text: "llama" }],
    ["general.name", { text: "Small" }],
    ["llama.block_count", { u32: 1 }],
    ["llama.context_length", { u32: 512 }],
    ["llama.embedding_length", { u32: width }],
    ["llama.attention.head_count", { u32: 1 }],
    ["tokenizer.chat_template", { text: "{{ messages }}" }],
  ]);
  return Buffer.concat(
    ggufPieces(metadata, [{ name: "token_embd.weight", shape: [rows, width], data: randomBytes(rows * width * 4) }]),
  );
}

/** What `assistant pull` does, without the price of a command. Rejects with its AssistantError. */
export const pullInto = (
  { env }: TestAssistant,
  reference: string,
  { name = null, from = null }: { readonly name?: string | null; readonly from?: string | null } = {},
): ReturnType<typeof pullAndConfigure> =>
  pullAndConfigure(reference, {
    context: { env, paths: resolvePaths(env), debug: false },
    ...{ name, from, sha256: null, allowPrivate: false, progress: null },
  });

/** Puts a model into a node's store and configuration as its user would, and waits until its daemon knows it. */
export async function giveModel(node: TestNode, name: string, weights: Buffer): Promise<void> {
  const { assistant } = node;
  const file = join(assistant.root, `${name}-import.gguf`);
  await writeFile(file, weights);
  await pullInto(assistant, file, { name });
  await eventually(`the daemon knows ${name}`, async () =>
    (await node.status()).models.some((model) => model.name === name),
  );
}

/**
 * A way to an address that passes so many bytes of answers and then holds the rest back, as a network does that hangs.
 */
export interface HeldWay extends AsyncDisposable {
  /** host:port */
  readonly address: string;
  /** Bytes passed on. */
  readonly passed: number;
  /** From now on everything passes. */
  release(): void;
  /** Breaks the connections that there are: one that is held does not notice that its other end is gone. */
  cut(): void;
}

export async function heldWay(target: string, holdAfterBytes: number): Promise<HeldWay> {
  const [host = "", port = ""] = target.split(":");
  const sockets = new Set<Socket>();
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
  };
  let passed = 0;
  let holding = true;
  const server = createServer((near) => {
    const far = dial({ host, port: Number(port) });
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one);
      one.on("error", () => other.destroy()).on("close", () => other.destroy());
    }
    near.pipe(far);
    far.on("data", (data: Buffer) => {
      passed += data.length;
      near.write(data);
      if (holding && passed >= holdAfterBytes) far.pause();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port: own } = server.address() as { port: number };
  return {
    address: `127.0.0.1:${own}`,
    get passed() {
      return passed;
    },
    release() {
      holding = false;
      for (const socket of sockets) socket.resume();
    },
    cut,
    async [Symbol.asyncDispose]() {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A line about a transfer in a daemon's log. */
export interface LoggedTransfer {
  readonly msg: string;
  readonly offset: number;
  readonly bytes: number;
  readonly sent?: number;
}

/** Reads what a daemon has logged about transfers since. */
export async function transfersSince({ assistant }: TestNode): Promise<() => Promise<LoggedTransfer[]>> {
  const all = async (): Promise<LoggedTransfer[]> =>
    (await assistant.daemonLog())
      .split("\n")
      .filter((line) => line.includes("model transfer"))
      .map((line) => JSON.parse(line) as LoggedTransfer);
  const { length } = await all();
  return async () => (await all()).slice(length);
}
