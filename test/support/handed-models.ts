import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { createServer, connect as dial, type Socket } from "node:net";
import { join } from "node:path";
import { eventually } from "./assistant.ts";
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

/** Puts a model into a node's store and configuration as its user would, and waits until its daemon knows it. */
export async function giveModel(node: TestNode, name: string, weights: Buffer): Promise<void> {
  const { assistant } = node;
  const file = join(assistant.root, `${name}-import.gguf`);
  await writeFile(file, weights);
  const { exitCode, stderr } = await assistant.run(["pull", file, "--name", name]);
  if (exitCode !== 0) throw new Error(`the model could not be imported: ${stderr}`);
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

/** The lines about transfers in a daemon's log. */
export async function transfers(
  node: TestNode,
): Promise<{ readonly msg: string; readonly offset: number; readonly bytes: number; readonly sent?: number }[]> {
  const lines = (await node.assistant.daemonLog()).split("\n").filter((line) => line.includes("model transfer"));
  return lines.map((line) => JSON.parse(line) as { msg: string; offset: number; bytes: number });
}
