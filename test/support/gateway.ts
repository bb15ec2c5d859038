import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { DaemonStatus } from "../../src/api/status.ts";
import type { Config } from "../../src/core/config.ts";
import { AssistantError } from "../../src/core/errors.ts";
import type { ModelSpec } from "../../src/core/model.ts";
import { Authorizer } from "../../src/gateway/front/authorize.ts";
import { createGateway, type Gateway, type GatewayOptions } from "../../src/gateway/gateway.ts";
import type { ControlPort, GatewaySettings } from "../../src/gateway/ports.ts";
import { InferenceCore } from "../../src/inference/core.ts";
import type { InferencePorts } from "../../src/inference/ports.ts";
import { StubDispatcher } from "./dispatcher.ts";
import { testModel } from "./fake-engine.ts";
import { type ScriptedUpstream, scriptedUpstream } from "./scripted-upstream.ts";

/** A gateway with a stub dispatcher in front of a scripted upstream. */
export interface TestGateway extends AsyncDisposable {
  readonly gateway: Gateway;
  readonly url: string;
  readonly port: number;
  readonly adminSocket: string;
  readonly directory: string;
  readonly dispatcher: StubDispatcher;
  readonly upstream: ScriptedUpstream;
  readonly control: RecordedControl;
  /** Log lines as they were written. */
  readonly lines: Record<string, unknown>[];
  /** Settings may be changed at any time, as a reload does. */
  readonly settings: { -readonly [Key in keyof TestSettings]: TestSettings[Key] };
}

type TestSettings = GatewaySettings & Pick<Config, "apiKeys" | "sharePrefixes">;
type TestOptions = Partial<GatewayOptions> &
  Partial<Pick<InferencePorts, "fingerprint" | "signalTimes">> & { models?: readonly ModelSpec[] };

export interface RecordedControl extends ControlPort {
  readonly calls: unknown[][];
}

export const chatModel = testModel({ name: "river", aliases: ["stream-chat"] });
export const embeddingModel = testModel({ name: "vectors", kind: "embedding" });

export async function testGateway(script: ScriptedUpstream["script"], options: TestOptions = {}): Promise<TestGateway> {
  const directory = await mkdtemp(join(tmpdir(), "assistant-gateway-"));
  const upstream = await scriptedUpstream(join(directory, "engine.sock"), script);
  const dispatcher = new StubDispatcher(upstream.socketPath);
  const control = recordedControl();
  const lines: Record<string, unknown>[] = [];
  const write = (fields: object, message: string): void => void lines.push({ ...fields, message });
  const settings: TestGateway["settings"] = {
    apiKeys: [],
    sharePrefixes: false,
    corsOrigins: [],
    allowedHosts: [],
    bodyLimitBytes: 1024 * 1024,
  };
  const { models = [chatModel, embeddingModel], fingerprint, signalTimes, ...rest } = options;
  const log = { debug: write, info: write, warn: write, error: write };
  const catalog = {
    find: (name: string) => models.find((model) => model.name === name || model.aliases.includes(name)),
    all: () => models,
    createdAt: () => 1_700_000_000_000,
  };
  const inference = new InferenceCore({
    dispatcher,
    directory: catalog,
    tenancy: () => settings,
    log,
    ...(fingerprint === undefined ? {} : { fingerprint }),
    ...(signalTimes === undefined ? {} : { signalTimes }),
  });
  const gateway = await createGateway({
    inference,
    directory: catalog,
    control,
    authorizer: new Authorizer(() => settings.apiKeys),
    settings: () => settings,
    version: "1.2.3",
    log,
    ...rest,
  });
  const adminSocket = await gateway.listen({ path: join(directory, "admin.sock") });
  const url = await gateway.listen({ host: "127.0.0.1", port: 0 });
  return {
    gateway,
    url,
    port: Number(new URL(url).port),
    adminSocket,
    directory,
    dispatcher,
    upstream,
    control,
    lines,
    settings,
    async [Symbol.asyncDispose]() {
      await gateway.close({ now: true });
      await upstream[Symbol.asyncDispose]();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

function recordedControl(): RecordedControl {
  const calls: unknown[][] = [];
  return {
    calls,
    status: async () => emptyStatus,
    models: async () => ({ configFile: "", models: [], elsewhere: [], problem: null }),
    act: async (instanceId, action) => {
      if (instanceId !== "river@cpu")
        throw new AssistantError("instance_not_found", `No instance is called "${instanceId}".`);
      calls.push(["act", instanceId, action]);
    },
    nodes: () => ({ nodeId: "", grpc: null, nodes: [], cluster: null }),
    actOnNode: () => Promise.reject(new Error("there is no cluster")),
    isDrained: () => false,
    usage: () => ({ since: 0, usage: [] }),
    usageByDay: async () => ({ days: [] }),
    metrics: async () => "# nothing is measured\n",
    keep: (name, idleTtlMs) => void calls.push(["keep", name, idleTtlMs]),
    modelAct: async (name, action) => void calls.push(["modelAct", name, action]),
    reload: async () => ({ changed: ["river"] }),
    shutdown: (options) => void calls.push(["shutdown", options]),
  };
}

export const emptyStatus: DaemonStatus = {
  version: "1.2.3",
  pid: 1,
  startedAt: 0,
  now: 1,
  state: "running",
  url: null,
  configFile: "/nowhere/config.toml",
  dataDir: "/nowhere",
  logFile: "/nowhere/current.log",
  rssBytes: 1,
  requestsServed: 0,
  queued: 0,
  models: [],
  instances: [],
  devices: [],
  notices: [],
  hints: [],
};

export const chatBody = (fields: object = {}): object => ({
  model: "river",
  messages: [{ role: "user", content: "Name three rivers." }],
  ...fields,
});

/** A gateway that is closed when the test ends. */
export async function startGateway(...options: Parameters<typeof testGateway>): Promise<TestGateway> {
  const gateway = await testGateway(...options);
  onTestFinished(() => gateway[Symbol.asyncDispose]());
  return gateway;
}
