import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { readEnvironment } from "../../config/environment.ts";
import { version } from "../../core/package.ts";
import { Layout, type LayoutParts } from "./layout.ts";
import { DEFAULT_LAYOUT, defaultLayout, loadLayout } from "./layout-file.ts";
import { logLevel, type WorkerLog, workerLog } from "./log.ts";
import { WorkerMetrics } from "./metrics.ts";
import { Registrar } from "./registrar.ts";
import { WorkerServer } from "./server.ts";
import { publicEndpoint, type WorkerEnvironment, type WorkerSettings, workerSettings } from "./settings.ts";

export interface RunOptions {
  /** Default: the layout in `LAYOUT_CONFIG`, or else a dummy. */
  readonly layout?: Layout | LayoutParts;
  /** Default: the process's. */
  readonly env?: WorkerEnvironment;
  /** Directory of the modules of a layout's classes. Default: the current directory. */
  readonly cwd?: string;
  /** Stops the worker. Default: SIGTERM and SIGINT do. */
  readonly signal?: AbortSignal;
}

/**
 * Runs a worker until it is stopped: listens, registers, answers requests, and unregisters. Resolves with the exit
 * code: 0, or 1 if registration failed permanently. Rejects with `config_invalid` or `address_in_use`.
 */
export async function runWorker(options: RunOptions = {}): Promise<number> {
  const { env = readEnvironment(), cwd = process.cwd() } = options;
  const settings = workerSettings(env);
  const log = workerLog(await logLevel(settings, cwd), (line) => process.stderr.write(line));
  const layout = await layoutOf(options, settings, cwd);
  log.info(`Worker SDK ${version}, layout ${layout.mainClass}.`);
  const metrics = new WorkerMetrics({ version, layout });
  const server = new WorkerServer({ settings, layout, metrics, log, version });
  const port = await server.listen();
  const endpoint = publicEndpoint(settings, port);
  log.info(`Listening at ${endpoint}.`);
  const registrar = new Registrar({ settings, endpoint, metrics, log });
  const { ended, exit } = endOf(options.signal ?? null);
  const registered = registrar.register().then((isRegistered) => {
    if (isRegistered || settings.ignoreAgent) return;
    log.error("Registration failed. The program will exit now.");
    exit(1);
  });
  const code = await ended;
  await stop(registrar, server, log);
  await registered;
  return code;
}

async function stop(registrar: Registrar, server: WorkerServer, log: WorkerLog): Promise<void> {
  log.info("Stopping.");
  await registrar.unregister();
  await server.drain();
}

async function layoutOf({ layout }: RunOptions, settings: WorkerSettings, cwd: string): Promise<Layout> {
  if (layout instanceof Layout) return layout;
  if (layout !== undefined) return new Layout(layout);
  const { layoutConfig, agentEndpoint, apiKey } = settings;
  const context = { daemonUrl: new URL(agentEndpoint).origin, apiKey };
  if (layoutConfig === null && !existsSync(resolve(cwd, DEFAULT_LAYOUT))) return defaultLayout();
  return await loadLayout(layoutConfig ?? DEFAULT_LAYOUT, { cwd, context });
}

/** Resolves with the exit code when the worker must stop. */
function endOf(signal: AbortSignal | null): { readonly ended: Promise<number>; exit(code: number): void } {
  const { promise, resolve: exit } = Promise.withResolvers<number>();
  const end = (): void => exit(0);
  if (signal !== null) {
    if (signal.aborted) end();
    signal.addEventListener("abort", end, { once: true });
  } else {
    process.once("SIGTERM", end);
    process.once("SIGINT", end);
  }
  return { ended: promise, exit };
}
