import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Client, credentials, Metadata, makeGenericClientConstructor, type ServiceError } from "@grpc/grpc-js";
import {
  type AssistantClient,
  type ForwardRequest,
  type ForwardResponse,
  type InfoResponse,
  loadAssistantService,
  type Sent,
} from "../../src/api/assistant-service.ts";
import type { NodeStatus } from "../../src/api/nodes.ts";
import type { DaemonStatus } from "../../src/api/status.ts";
import { daemonClient } from "../../src/client/daemon-client.ts";
import { resolvePaths } from "../../src/config/paths.ts";
import { compileCache, eventually, installAssistant, readyInstances, type TestAssistant } from "./assistant.ts";
import { type EngineRecord, engineRecord, fakeEngineProgram } from "./fake-engine.ts";
import { emptyGguf } from "./gguf-writer.ts";

export interface TestNode extends AsyncDisposable {
  readonly assistant: TestAssistant;
  /** Where OpenAI clients connect. */
  readonly url: string;
  /** Where gRPC is served, host:port. */
  readonly grpc: string;
  /** Asked of the daemon itself: a command each time would take most of a test's time. */
  status(): Promise<DaemonStatus>;
  nodes(): Promise<NodeStatus[]>;
  /** What the engine of a model has counted; the model must be loaded. */
  record(model?: string): Promise<EngineRecord>;
}

export interface NodeSetup {
  /** Names of models that a fake engine serves, with further lines of their files. */
  readonly models?: Readonly<Record<string, string>>;
  readonly remotes?: readonly { readonly name: string; readonly grpc: string; readonly extra?: string }[];
  /** Further lines of [server]. */
  readonly server?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Nodes that are started one by one and end together: `afterEach(nodes.end)`. */
export class NodeGroup {
  readonly #started: TestNode[] = [];

  readonly start = async (setup: NodeSetup = {}): Promise<TestNode> => {
    const node = await startNode(setup);
    this.#started.push(node);
    return node;
  };

  readonly end = async (): Promise<void> => {
    await Promise.all(this.#started.splice(0).map((node) => node[Symbol.asyncDispose]()));
  };
}

/** A whole installation whose daemon runs, with a fake engine behind every model. */
export async function startNode({ models = {}, remotes = [], server = "", env = {} }: NodeSetup): Promise<TestNode> {
  const folder = await mkdtemp(join(tmpdir(), "assistant-node-"));
  const engine = await fakeLlamaServer(folder);
  const weights = join(folder, "weights.gguf");
  await writeFile(weights, emptyGguf);
  const assistant = await installAssistant({
    env: { ASSISTANT_GRPC_ADDR: "127.0.0.1:0", ...env },
    config: `${server}\n[engine]\nllama_server_path = "${engine}"\n${remotes.map(remoteToml).join("\n")}`,
    models: Object.fromEntries(
      Object.entries(models).map(([name, extra]) => [
        name,
        `[chat]\nmodel_name = "${name}"\nsource = "${weights}"\nengine = "llama-server"\n${extra}\n`,
      ]),
    ),
  });
  const url = await assistant.serve();
  const client = daemonClient(resolvePaths(assistant.env));
  const { grpc } = await client.status();
  return {
    assistant,
    url,
    grpc: grpc ?? "",
    status: () => client.status(),
    nodes: async () => (await client.nodes()).nodes,
    async record(model = Object.keys(models)[0] ?? "") {
      const [instance] = readyInstances(await client.status(), model);
      if (!instance?.endpoint) throw new Error(`no instance of ${model} is ready`);
      return await engineRecord(instance.endpoint);
    },
    async [Symbol.asyncDispose]() {
      await assistant[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** An entry of `[[remote_servers]]`. */
export const remoteToml = ({ name, grpc, extra = "" }: { name: string; grpc: string; extra?: string }): string =>
  `[[remote_servers]]\nname = "${name}"\ngrpc_addr = "${grpc}"\n${extra}\n`;

/**
 * An address nobody listens on, for daemons that must know each other's before they start. Below the ports that the
 * system gives to outgoing connections: one that tries to reach the address could otherwise get it as its own.
 */
export async function freeAddress(): Promise<string> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const probe = createServer();
    const free = await new Promise<boolean>((resolve) =>
      probe.once("error", () => resolve(false)).listen(port, "127.0.0.1", () => resolve(true)),
    );
    await new Promise((resolve) => probe.close(resolve));
    if (free) return `127.0.0.1:${port}`;
  }
}

/** Waits until a node's remote servers are all up. */
export const allUp = (node: TestNode): Promise<boolean> =>
  eventually(
    "all remote servers are up",
    async () => (await node.nodes()).every(({ state }) => state === "up"),
    15_000,
  ) as Promise<boolean>;

/** A program that takes llama-server's arguments and is the fake engine. */
async function fakeLlamaServer(folder: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  const file = join(folder, "llama-server");
  const script = `#!/bin/sh
[ "$1" = "--version" ] && { echo "version: 1 (fake)"; exit 0; }
while [ $# -gt 0 ]; do
  case "$1" in --host) socket=$2 ;; --parallel) slots=$2 ;; --ctx-size) context=$2 ;; esac
  shift
done
NODE_NO_WARNINGS=1 NODE_COMPILE_CACHE="${compileCache}" exec "${process.execPath}" "${fakeEngineProgram}" --socket "$socket" --slots "$slots" --context-tokens $((context / slots))
`;
  await writeFile(file, script);
  await chmod(file, 0o755);
  return file;
}

/** A chat request whose answer the fake engine makes as `knobs` say, one token each `decodeDelayMs`. */
export const chatBody = (
  model: string,
  knobs: { readonly tokens?: number; readonly decodeDelayMs?: number; readonly tokenText?: string } = {},
  stream = false,
): string =>
  JSON.stringify({ model, stream, messages: [{ role: "user", content: `Hello [[fake ${JSON.stringify(knobs)}]]` }] });

export const postChat = (
  url: string,
  body: string,
  headers: Record<string, string> = {},
  signal?: AbortSignal,
): Promise<Response> =>
  fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body,
    ...(signal ? { signal } : {}),
  });

/** A client of any gRPC server that has the service, made from the definition file alone. */
export interface TestClient extends Disposable {
  readonly raw: AssistantClient;
  info(key?: string): Promise<InfoResponse>;
  forward(
    request: Sent<ForwardRequest>,
    options?: { readonly key?: string; readonly deadlineMs?: number },
  ): Promise<ForwardResponse>;
}

export async function grpcClient(address: string): Promise<TestClient> {
  const { service } = await loadAssistantService();
  const raw = new (makeGenericClientConstructor(service, "AssistantService"))(
    address,
    credentials.createInsecure(),
  ) as unknown as AssistantClient & Unary;
  const settle = <T>(call: (done: (error: ServiceError | null, answer?: T) => void) => void): Promise<T> =>
    new Promise((resolve, reject) => call((error, answer) => (error === null ? resolve(answer as T) : reject(error))));
  return {
    raw,
    info: (key) =>
      settle((done) =>
        raw.GetInfo(
          {},
          keyed(key),
          { deadline: Date.now() + 5_000 },
          done as (error: Error | null, answer?: InfoResponse) => void,
        ),
      ),
    forward: (request, { key, deadlineMs = 20_000 } = {}) =>
      settle((done) => raw.ForwardRequest(request, keyed(key), { deadline: Date.now() + deadlineMs }, done)),
    [Symbol.dispose]: () => raw.close(),
  };
}

interface Unary extends Client {
  ForwardRequest(
    request: Sent<ForwardRequest>,
    metadata: Metadata,
    options: object,
    done: (error: ServiceError | null, answer?: ForwardResponse) => void,
  ): void;
}

export function keyed(key?: string): Metadata {
  const metadata = new Metadata();
  if (key !== undefined) metadata.set("authorization", `Bearer ${key}`);
  return metadata;
}
