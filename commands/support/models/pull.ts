import { setImmediate as drained } from "node:timers/promises";
import { connectIfRunning } from "../../../src/client/daemon-client.ts";
import { memoryForModels } from "../../../src/core/device.ts";
import { answers, type ModelKind } from "../../../src/core/model.ts";
import { probeHardware } from "../../../src/fleet/hardware.ts";
import { type Configured, configurePulled, type Place } from "../../../src/models/configure.ts";
import { formatBytes } from "../../../src/models/format.ts";
import { type PulledModel, pull } from "../../../src/models/pull.ts";
import type { CommandContext } from "../cli/context.ts";
import { EXIT_INTERRUPTED, interruptible } from "../cli/interrupt.ts";
import { type ProgressStream, showProgress } from "../cli/progress.ts";
import { enginesOf } from "../engines.ts";
import { modelStore } from "../stores.ts";
import { openStoreOf } from "./node-store.ts";
import { orderOf } from "./presets.ts";
import { pullLines } from "./pull-progress.ts";

export interface PullRequest {
  readonly context: CommandContext;
  readonly name: string | null;
  readonly sha256: string | null;
  readonly allowPrivate: boolean;
  /** Name or address of the remote server whose model it is; null: the reference says where it is. */
  readonly from: string | null;
  /** Null: silent. */
  readonly progress: ProgressStream | null;
}

const SILENT: ProgressStream = { write: () => true };

/** Pulls, and makes the model ready to run. Ctrl-C ends it with exit code 130; what has arrived is kept. */
export async function pullAndConfigure(
  reference: string,
  request: PullRequest,
): Promise<PulledModel & { configuration: Configured }> {
  const { context, name, sha256, allowPrivate } = request;
  using from = request.from === null ? null : await openStoreOf(request.from, context);
  using interrupt = interruptible();
  const progress = showProgress(request.progress ?? SILENT, `pulling ${reference}`);
  const line = pullLines(reference.length > 30 ? "pulling" : reference);
  try {
    const order = from === null ? await orderOf(reference, context) : { reference, name: null };
    const pulled = await pull(order.reference, {
      store: modelStore(context.paths),
      env: context.env,
      memoryBytes: memoryForModels(await probeHardware(context.env)),
      name: name ?? order.name,
      sha256,
      allowPrivate,
      from,
      signal: interrupt.signal,
      onProgress: (now) => progress.update(line(now)),
    });
    progress.update("writing its configuration");
    const configuration = await configurePulled(pulled, placeOf(context));
    if (configuration.written) await tellDaemon(context);
    return { ...pulled, configuration };
  } catch (error) {
    if (!interrupt.signal.aborted) throw error;
    progress.stop();
    request.progress?.write("Stopped. Downloaded data is kept; the same command resumes the download.\n");
    await drained();
    process.exit(EXIT_INTERRUPTED);
  } finally {
    progress.stop();
  }
}

/**
 * A running daemon would notice the new model file a moment later; the next command may come sooner. What is wrong with
 * its configuration is reported by `status`, and is no reason to call the pull failed.
 */
async function tellDaemon({ paths }: CommandContext): Promise<void> {
  await connectIfRunning(paths)
    .then((running) => running?.client.reload())
    .catch(() => {});
}

/** Where pulled models are configured. */
export const placeOf = (context: CommandContext): Place => ({
  store: modelStore(context.paths),
  env: context.env,
  configFile: context.paths.configFile,
  hardware: () => probeHardware(context.env),
  hasNativeEngine: () =>
    enginesOf(context)
      .choose({ engine: "llama-server" })
      .then(
        () => true,
        () => false,
      ),
});
/** Where models of a kind answer. */
const PATHS: Readonly<Record<ModelKind, string>> = {
  chat: "/v1/chat/completions",
  embedding: "/v1/embeddings",
  rerank: "/v1/rerank",
  image: "/v1/images/generations",
  speech: "/v1/audio/speech",
  transcription: "/v1/audio/transcriptions",
  moderation: "/v1/moderations",
  handler: "/infer/json",
};

/** Where it is and how to run it. */
export function pulledText({ configuration, ...pulled }: PulledModel & { configuration: Configured }): string {
  const head = pulled.alreadyPresent
    ? `${pulled.name} is already on this machine`
    : `Pulled ${pulled.name} from ${pulled.source}`;
  const lines = [`${head} (${formatBytes(pulled.bytes)}): ${pulled.file}`];
  if (configuration.written) lines.push(`Wrote ${configuration.file}`);
  const { model, kind, problem } = configuration;
  if (model === null || kind === null) lines.push(`It is not configured: ${problem}`);
  else if (answers({ kind }, "chat")) lines.push(`Run it: assistant run ${model}`);
  else lines.push(`Serve it: assistant serve, then POST ${PATHS[kind]} with "model": "${model}"`);
  return lines.join("\n");
}
