import { rm, writeFile } from "node:fs/promises";
import { loopbackEndpoint } from "../core/endpoint.ts";
import type { LaunchPlan } from "../core/engine.ts";
import { AssistantError } from "../core/errors.ts";
import type { StartOrder } from "../core/fleet.ts";
import { prepareLog } from "./engine-log.ts";
import type { EngineProcess } from "./engine-process.ts";
import { type InstanceFiles, type News, threadsText } from "./life.ts";
import type { LoopbackPorts } from "./loopback-ports.ts";
import type { FleetOptions } from "./ports.ts";

const MAX_SOCKET_PATH_BYTES = 100;

/**
 * Everything before the spawn: engine, weights, a log file, a free socket path. Rejects with an AssistantError that
 * names what is missing.
 */
export async function prepareStart(
  order: StartOrder,
  files: InstanceFiles,
  maxLogBytes: number,
  options: FleetOptions,
  ports: LoopbackPorts,
  lingering: EngineProcess | null,
): Promise<News> {
  const { device, threads, mostThreads = threads, instanceId } = order;
  const { load } = order.model;
  const model = { ...order.model, load: { ...load, hostCacheMib: order.hostCacheMib ?? load.hostCacheMib } };
  const { socketPath, threadsFile } = files;
  if (Buffer.byteLength(socketPath) > MAX_SOCKET_PATH_BYTES) {
    throw new AssistantError(
      "config_invalid",
      `The run directory ${options.runDir} is too long: a Unix socket's path has at most ${MAX_SOCKET_PATH_BYTES} bytes.`,
      {
        remedy: "Choose a shorter data or runtime directory.",
      },
    );
  }
  const [engine, modelPath, draftPath, logStart] = await Promise.all([
    options.engineFor(model),
    options.resolveWeights(model),
    options.resolveDraft?.(model),
    prepareLog(files.logFile, maxLogBytes),
    // A killed process that has not exited still holds the socket and the memory.
    lingering?.exited,
  ]);
  const availability = await engine.availability();
  if (!availability.available)
    throw new AssistantError("engine_unavailable", availability.reason, { remedy: availability.remedy });
  const slotPlace =
    (engine.traits.savesSlots && (await options.slotCache?.place(order, modelPath, availability))) || null;
  const listening = engine.listens?.(model) ?? { type: "socket" };
  const plan: LaunchPlan = {
    instanceId,
    model,
    modelPath,
    device,
    threads,
    socketPath,
    ...(draftPath ? { draftPath } : {}),
    ...(slotPlace ? { slotDir: slotPlace.directory } : {}),
    ...(mostThreads > threads ? { lending: { file: threadsFile, mostThreads } } : {}),
  };
  await engine.check?.(plan);
  await writeFile(threadsFile, threadsText(threads));
  await rm(socketPath, { force: true });
  // Of the program being started: another may be built or selected while it runs.
  const { noticesDisconnects, separatesCaches, onlyOpenAi } = availability;
  const traits = { noticesDisconnects, separatesCaches, ...(onlyOpenAi === undefined ? {} : { onlyOpenAi }) };
  const probe = engine.probe?.(model) ?? options.probe;
  const launch = { engine: engine.id, traits, probe, logStart, slotPlace };
  if (listening.type === "socket") {
    const spec = engine.launch(plan);
    return { type: "prepared", launch: { ...launch, spec, endpoint: socketPath, port: null, ownListener: false } };
  }
  const port = await ports.take();
  try {
    const spec = engine.launch({ ...plan, port });
    const { ownListener } = listening;
    return { type: "prepared", launch: { ...launch, spec, endpoint: loopbackEndpoint(port), port, ownListener } };
  } catch (error) {
    ports.giveBack(port);
    throw error;
  }
}
