import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import type { Engine, LaunchPlan } from "../../src/core/engine.ts";
import { ENGINE_SAMPLING, type EngineId, type ModelKind, type ModelSpec } from "../../src/core/model.ts";
import type { SlotProgress } from "../../src/core/probe.ts";
import { createEngineProbe, createEngines } from "../../src/engines/index.ts";
import { packageRoot } from "../support/assistant.ts";
import { testDevice, testModel } from "../support/fake-engine.ts";
import { nativeEngineFile } from "../support/native-engine.ts";
import { documentsIn } from "../support/store.ts";

export const bothEngines: readonly EngineId[] = ["llama-server", "node-llama-cpp"];

export const cpu = testDevice({ memoryTotalBytes: 8e9, memoryFreeBytes: 4e9 });

interface ModelOverrides {
  readonly kind?: ModelKind;
  readonly load?: Partial<ModelSpec["load"]>;
  readonly sampling?: Partial<ModelSpec["sampling"]>;
  /** Weights of the draft model; missing: it has none. */
  readonly draftPath?: string;
  /** Where it saves slots; missing: nowhere. */
  readonly slotDir?: string;
  readonly lending?: LaunchPlan["lending"];
}

export function modelSpec(engine: EngineId, file: string, overrides: ModelOverrides = {}): ModelSpec {
  const { kind = "chat", load, sampling } = overrides;
  const facts = { name: "smol", kind, engine, source: { type: "file", path: file } } as const;
  return testModel(
    { ...facts, sampling: { ...ENGINE_SAMPLING, ...sampling }, file: "smol.toml", fingerprint: "1" },
    { contextTokens: 1024, batchTokens: 256, microBatchTokens: 256, threads: 1, ...load },
  );
}

export const planFor = (model: ModelSpec, modelPath: string, socketPath: string): LaunchPlan => ({
  ...{ instanceId: `${model.name}@cpu`, model, modelPath, device: cpu, threads: 1, socketPath },
});

/** The embedded engine's program as users run it: the test itself is source. */
const asBuilt = (argument: string): string =>
  argument.startsWith(join(packageRoot, "src")) ? join(packageRoot, "dist", programName(argument)) : argument;

const programName = (file: string): string => relative(packageRoot, file).replace(/\.ts$/u, ".js");

/** The engine as the product finds it, with the binary that the test run has built. */
async function engineFor(id: EngineId, folder: string): Promise<Engine> {
  const enginesDir = join(folder, "unused");
  const llamaServerPath = id === "llama-server" ? nativeEngineFile() : null;
  const engines = createEngines({
    folder: { enginesDir, choices: documentsIn(enginesDir) },
    llamaServerPath,
    pathVariable: "",
    nodePath: process.execPath,
  });
  return engines.choose({ engine: id });
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: answers are read field by field, and a missing field must fail the test
  readonly body: any;
}

/** A real engine process, as the product would start it. */
export class EngineProcess implements AsyncDisposable {
  readonly socketPath: string;
  readonly child: ChildProcess;
  readonly exited: Promise<{ code: number | null; signal: string | null }>;
  readonly #folder: string;
  #log = "";

  private constructor(folder: string, child: ChildProcess, socketPath: string) {
    this.#folder = folder;
    this.child = child;
    this.socketPath = socketPath;
    const collect = (chunk: Buffer): void => {
      this.#log += chunk.toString("utf8");
    };
    child.stdout?.on("data", collect);
    child.stderr?.on("data", collect);
    this.exited = new Promise((resolve) => child.once("exit", (code, signal) => resolve({ code, signal })));
  }

  static async spawn(id: EngineId, file: string, overrides: ModelOverrides = {}): Promise<EngineProcess> {
    const folder = await mkdtemp(join(tmpdir(), "engine-"));
    const engine = await engineFor(id, folder);
    const socketPath = join(folder, "e.sock");
    const { slotDir, draftPath, lending } = overrides;
    const spec = engine.launch({
      ...planFor(modelSpec(id, file, overrides), file, socketPath),
      ...(slotDir === undefined ? {} : { slotDir }),
      ...(draftPath === undefined ? {} : { draftPath }),
      ...(lending === undefined ? {} : { lending }),
    });
    const env = { PATH: process.env["PATH"] ?? "", HOME: folder, ...spec.env };
    // The input is a pipe, as under the daemon: an engine whose parent was killed must notice.
    const child = spawn(spec.command, spec.args.map(asBuilt), { env, stdio: ["pipe", "pipe", "pipe"] });
    return new EngineProcess(folder, child, socketPath);
  }

  static async start(id: EngineId, file: string, overrides: ModelOverrides = {}): Promise<EngineProcess> {
    const engine = await EngineProcess.spawn(id, file, overrides);
    await engine.ready();
    return engine;
  }

  get log(): string {
    return this.#log;
  }

  async ready(): Promise<void> {
    const probe = createEngineProbe();
    let ended = false;
    void this.exited.then(() => {
      ended = true;
    });
    await until(async () => {
      if (ended) throw new Error(`the engine ended while starting:\n${this.#log}`);
      return (await probe.health(this.socketPath, AbortSignal.timeout(5000)).catch(() => "loading")) === "ready";
    }, 60_000);
  }

  get(path: string): Promise<Answer> {
    return this.#call("GET", path, null);
  }

  post(path: string, body: object | string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return this.#call("POST", path, typeof body === "string" ? body : JSON.stringify(body), headers);
  }

  /** Events of a stream, as parsed JSON, without `[DONE]`, which must be the last one. */
  // biome-ignore lint/suspicious/noExplicitAny: as in Answer
  async stream(path: string, body: object): Promise<any[]> {
    const answer = await this.post(path, { ...body, stream: true });
    if (answer.status !== 200) throw new Error(`status ${answer.status}: ${answer.text}`);
    const events = answer.text.split("\n\n").filter((event) => event.startsWith("data: "));
    if (events.pop() !== "data: [DONE]")
      throw new Error(`the stream does not end with [DONE]:\n${answer.text.slice(-500)}`);
    return events.map((event) => JSON.parse(event.slice("data: ".length)));
  }

  /** Sends a request on a raw connection that the test may cut. */
  raw(path: string, body: object): Socket {
    const text = JSON.stringify(body);
    const socket = connect({ path: this.socketPath, allowHalfOpen: true });
    socket.on("error", () => undefined);
    socket.write(
      `POST ${path} HTTP/1.1\r\nHost: engine\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\nConnection: close\r\n\r\n${text}`,
    );
    socket.resume();
    return socket;
  }

  slots(): Promise<readonly SlotProgress[]> {
    return createEngineProbe().slots(this.socketPath, AbortSignal.timeout(20_000));
  }

  async busySlots(): Promise<number> {
    return (await this.slots()).filter((slot) => slot.busy).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGKILL");
    await this.exited;
    await rm(this.#folder, { recursive: true, force: true });
  }

  #call(
    method: string,
    path: string,
    text: string | null,
    more: Readonly<Record<string, string>> = {},
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const about =
        text === null ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(text) };
      const headers = { ...about, ...more, connection: "close" };
      const outgoing = request({ socketPath: this.socketPath, method, path, agent: false, headers }, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          const all = Buffer.concat(chunks).toString("utf8");
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text: all, body: parsed(all) });
        });
      });
      outgoing.on("error", reject);
      outgoing.end(text ?? undefined);
    });
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Waits until `condition` holds; returns how many milliseconds that took. Throws after `deadlineMs`. */
export async function until(condition: () => Promise<boolean>, deadlineMs: number): Promise<number> {
  const started = performance.now();
  for (;;) {
    if (await condition()) return performance.now() - started;
    if (performance.now() - started > deadlineMs) throw new Error(`still not so after ${deadlineMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A prompt of about `words` tokens that no cache holds. */
export const longPrompt = (words: number): string =>
  Array.from({ length: words }, (_, i) => ["river", "stone", "cloud", "green", "seven"][(i * 7 + words) % 5]).join(" ");
