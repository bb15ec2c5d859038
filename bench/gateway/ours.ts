/** The gateway of the product, with API keys and its log on, in front of one instance that is always free. */
import { createHash } from "node:crypto";
import { Cancellation } from "../../src/core/cancellation.ts";
import type { Dispatcher } from "../../src/core/request.ts";
import { keepRequestsYoung } from "../../src/daemon/heap.ts";
import { Authorizer } from "../../src/gateway/front/authorize.ts";
import { createGateway } from "../../src/gateway/gateway.ts";
import { InferenceCore } from "../../src/inference/core.ts";
import { openLog } from "../../src/telemetry/log.ts";
import { EngineSocket } from "../../src/upstreams/unix/engine-socket.ts";
import { testModel } from "../../test/support/fake-engine.ts";
import { reportArm } from "../lib/arm.ts";

keepRequestsYoung();
const settings = JSON.parse(process.argv[2] ?? "{}") as { socketPath: string; key: string; logDirectory: string };
const model = testModel({ name: "stub" });
const never = new Cancellation();

const upstream = new EngineSocket(settings.socketPath, { noticesDisconnects: true, separatesCaches: true });
const dispatcher: Dispatcher = {
  acquire: async ({ id }) => ({
    requestId: id,
    targetId: "stub@cpu",
    model: "stub",
    upstream,
    queuedMs: 0,
    firstToken() {},
    finish() {},
    lost: never,
    [Symbol.dispose]() {},
  }),
};

const log = (await openLog({ level: "info", directory: settings.logDirectory, alsoTo: null })).part("gateway");
const sha256 = createHash("sha256").update(settings.key).digest("hex");
const apiKeys = [{ name: "bench", sha256 }];
const gatewaySettings = { corsOrigins: [], allowedHosts: [], bodyLimitBytes: 32 * 2 ** 20 };
const directory = {
  find: (name: string) => (name === "stub" ? model : undefined),
  all: () => [model],
  createdAt: () => 0,
};
const inference = new InferenceCore({ dispatcher, directory, tenancy: () => ({ apiKeys }), log });
const gateway = await createGateway({
  inference,
  directory,
  authorizer: new Authorizer(() => apiKeys),
  control: {
    status: () => Promise.reject(new Error("not measured")),
    models: () => Promise.reject(new Error("not measured")),
    act: async () => {},
    keep: () => {},
    modelAct: async () => {},
    nodes: () => ({ nodeId: "", grpc: null, nodes: [], cluster: null }),
    actOnNode: () => Promise.reject(new Error("there is no cluster")),
    isDrained: () => false,
    usage: () => ({ since: 0, usage: [] }),
    usageByDay: async () => ({ days: [] }),
    metrics: () => Promise.reject(new Error("not measured")),
    reload: async () => ({}),
    shutdown() {},
  },
  settings: () => gatewaySettings,
  version: "bench",
  log,
});
const url = await gateway.listen({ host: "127.0.0.1", port: 0 });
reportArm(Number(new URL(url).port));
