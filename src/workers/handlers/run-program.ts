import { registerHooks } from "node:module";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { readEnvironment, variable } from "../../config/environment.ts";
import { Client } from "./client.ts";
import { ObjectsClient } from "./objects.ts";
import { keepRegistered } from "./registration.ts";
import { serveApp } from "./server.ts";
import type { HandlerContext, WorkerApp } from "./worker-app.ts";

// One process of `assistant worker run MODULE`: serves the app that a module exports, and registers it.

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    host: { type: "string", default: "127.0.0.1" },
    port: { type: "string", default: "0" },
    "api-server": { type: "string", default: "" },
    "object-store": { type: "string", default: "" },
    "replica-id": { type: "string", default: "" },
  },
});
const { host, "api-server": apiServer, "object-store": store, "replica-id": replicaId } = values;
const [module = "", exported = "app"] = positionals;
// Modules name the SDK as a package, wherever they are.
const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
const sdk = {
  "assistant/worker": new URL(`../sdk/index.${extension}`, import.meta.url).href,
  "assistant/client": new URL(`./client.${extension}`, import.meta.url).href,
};
registerHooks({
  resolve: (specifier, context, next) =>
    Object.hasOwn(sdk, specifier)
      ? { url: sdk[specifier as keyof typeof sdk], shortCircuit: true }
      : next(specifier, context),
});

const loaded = (await import(pathToFileURL(module).href)) as Readonly<Record<string, WorkerApp | undefined>>;
const app = loaded[exported] ?? loaded["default"];
// Another copy of the class is as good.
if (app === undefined || !Array.isArray(app.handlers) || app.handlers.length === 0) {
  console.error(`${module} exports no app with a capability as "${exported}".`);
  process.exit(2);
}
const env = readEnvironment();
const key = variable(env, "ASSISTANT_API_KEY");
const headers: Record<string, string> = key === null ? {} : { authorization: `Bearer ${key}` };
const common: Omit<HandlerContext, "signal" | "capability"> = {
  replicaId,
  objects: new ObjectsClient(store === "" ? apiServer : store, headers),
  async call(target, inputs) {
    if (apiServer === "") throw new Error("context.call needs a daemon: start the worker with --api-server URL");
    const credential = key === null ? {} : { apiKey: key };
    const client = new Client({ endpoint: apiServer, ...credential });
    return "model" in target
      ? await client.infer(target.model, inputs)
      : await client.inferCapability(target.capability, inputs);
  },
};
let isReady = false;
const { server, port } = await serveApp({
  app,
  host,
  port: Number(values.port),
  context: common,
  isReady: () => isReady,
});
for (const worker of app.workers) await worker.onStart?.(common);
isReady = true;
const address = host === "0.0.0.0" ? "127.0.0.1" : host;
console.log(`ready on http://${address}:${port}`);
process.send?.({ port });

const leaving = new AbortController();
const stop = async (code: number): Promise<void> => {
  if (leaving.signal.aborted) return;
  leaving.abort();
  server.close();
  server.closeIdleConnections();
  for (const worker of app.workers) await worker.onStop?.();
  process.exit(code);
};
for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => void stop(0));
// The parent process has exited.
process.on("disconnect", () => void stop(0));
// The daemon knows workers that it has started itself.
if (apiServer !== "" && variable(env, "ASSISTANT_POOL") === null)
  keepRegistered(
    {
      apiServer,
      headers,
      replicaId,
      endpoint: `http://${address}:${port}`,
      capabilities: app.handlers.map(({ capability }) => capability),
      slots: app.concurrency,
      report: (text) => console.log(text),
    },
    leaving.signal,
  ).catch((error: unknown) => {
    console.error(`${apiServer} refuses the worker: ${(error as Error).message}`);
    void stop(2);
  });
