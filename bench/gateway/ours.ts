/** The gateway of the product, with API keys and its log on, in front of one instance that is always free. */
import { createHash } from "node:crypto";
import { Cancellation } from "../../src/core/cancellation.ts";
import type { Dispatcher } from "../../src/core/request.ts";
import { keepRequestsYoung } from "../../src/daemon/heap.ts";
import { createGateway } from "../../src/gateway/gateway.ts";
import { openLog } from "../../src/telemetry/log.ts";
import { testModel } from "../../test/support/fake-engine.ts";
import { reportArm } from "../lib/arm.ts";

keepRequestsYoung();
const settings = JSON.parse(process.argv[2] ?? "{}") as { socketPath: string; key: string; logDirectory: string };
const model = testModel({ name: "stub" });
const never = new Cancellation();

const dispatcher: Dispatcher = {
  acquire: async ({ id }) => ({
    requestId: id,
    instanceId: "stub@cpu",
    model: "stub",
    engine: "llama-server",
    socketPath: settings.socketPath,
    noticesDepartedClients: true,
    separatesScopes: true,
    queuedMs: 0,
    firstToken() {},
    finish() {},
    lost: never,
    [Symbol.dispose]() {},
  }),
};

const log = await openLog({ level: "info", directory: settings.logDirectory, alsoTo: null });
const sha256 = createHash("sha256").update(settings.key).digest("hex");
const gatewaySettings = { apiKeys: [{ name: "bench", sha256 }], corsOrigins: [], allowedHosts: [], bodyLimitBytes: 32 * 2 ** 20 };
const gateway = await createGateway({
  dispatcher,
  directory: { find: (name) => (name === "stub" ? model : undefined), all: () => [model], createdAt: () => 0 },
  control: {
    status: () => Promise.reject(new Error("not measured")),
    act: async () => {},
    modelAct: async () => {},
    nodes: () => ({ nodeId: "", grpc: null, nodes: [] }),
    usage: () => ({ since: 0, usage: [] }),
    metrics: () => Promise.reject(new Error("not measured")),
    reload: async () => ({}),
    shutdown() {},
  },
  settings: () => gatewaySettings,
  version: "bench",
  log: log.part("gateway"),
  logRequest: log.requests("gateway"),
});
const url = await gateway.listen({ host: "127.0.0.1", port: 0 });
reportArm(Number(new URL(url).port));
