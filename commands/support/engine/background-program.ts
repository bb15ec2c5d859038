import { constants, setPriority } from "node:os";
import { toAssistantError } from "../../../src/core/errors.ts";
import { processStartTime } from "../../../src/core/process.ts";
import { type BackgroundBuild, writeBackgroundBuild } from "../../../src/engines/llama-server/build/background.ts";
import { buildLlamaServer } from "../../../src/engines/llama-server/build/build.ts";
import type { BuildProgress } from "../../../src/engines/llama-server/build/progress.ts";
import { buildPhaseText } from "../../../src/engines/llama-server/build/status-line.ts";
import { probeHardware } from "../../../src/fleet/hardware.ts";
import { loadContext } from "../cli/context.ts";
import { interruptible } from "../cli/interrupt.ts";
import { engineFolder } from "../stores.ts";
import { probeWith } from "./probe.ts";
import { NO_GPU } from "./start-background.ts";

/** What is shown of a build's progress changes no more often than this. */
const WRITE_EVERY_MS = 3_000;

/** The process of a build in the background: `start-background.ts` spawns it with what it attempts. */
async function main(attempt: string, gpu: boolean): Promise<void> {
  // Compilers inherit it: requests come first.
  setPriority(constants.priority.PRIORITY_LOW);
  const context = loadContext({ configFile: null });
  const folder = engineFolder(context.paths);
  using interrupt = interruptible();
  const processStart = await processStartTime(process.pid);
  let build: BackgroundBuild = {
    state: "running",
    pid: process.pid,
    processStart,
    progress: "starting",
    version: null,
    attempt,
    problem: null,
    told: false,
  };
  const become = async (change: Partial<BackgroundBuild>): Promise<void> => {
    build = { ...build, ...change };
    await writeBackgroundBuild(folder.choices, build);
  };
  await become({});
  let writtenAt = 0;
  let writing: Promise<void> = Promise.resolve();
  const onProgress = (progress: BuildProgress): void => {
    const now = performance.now();
    if (now - writtenAt < WRITE_EVERY_MS) return;
    writtenAt = now;
    writing = writing.then(() => become({ progress: buildPhaseText(progress) }));
  };
  try {
    const hardware = await probeHardware(context.env);
    const { version } = await buildLlamaServer({
      enginesDir: context.paths.enginesDir,
      stock: false,
      fromSource: false,
      force: false,
      keep: false,
      gpus: gpu ? hardware.devices.map(({ vendor }) => vendor) : [],
      jobs: null,
      signal: interrupt.signal,
      probe: probeWith(context, hardware, interrupt.signal),
      onProgress,
    });
    await writing;
    await become({ state: "succeeded", version });
  } catch (error) {
    await writing;
    // It was ended deliberately, which is not a failure.
    if (interrupt.signal.aborted) return;
    const { message, remedy } = toAssistantError(error);
    console.error(message, remedy ?? "");
    await become({ state: "failed", problem: remedy === null ? message : `${message}\n${remedy}` });
  }
}

await main(process.argv[2] ?? "", !process.argv.includes(NO_GPU));
