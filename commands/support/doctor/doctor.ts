import { existsSync } from "node:fs";
import { connectIfRunning } from "../../../src/client/daemon-client.ts";
import { describeEnd, unexpectedEnd } from "../../../src/client/unexpected-end.ts";
import { variable } from "../../../src/config/environment.ts";
import { loadConfig } from "../../../src/config/load.ts";
import type { Config } from "../../../src/core/config.ts";
import { toAssistantError } from "../../../src/core/errors.ts";
import { createEngines } from "../../../src/engines/index.ts";
import { readBackgroundBuild } from "../../../src/engines/llama-server/build/background.ts";
import { toolRunner } from "../../../src/engines/llama-server/build/tool.ts";
import { findToolchain, missingToolchain } from "../../../src/engines/llama-server/build/toolchain.ts";
import { probeHardware } from "../../../src/fleet/hardware.ts";
import { loadPresets } from "../../../src/models/presets/load.ts";
import type { CommandContext } from "../cli/context.ts";
import { engineFolder } from "../stores.ts";
import { engineFindings, type ToolchainGap } from "./engines.ts";
import { fileFindings } from "./files.ts";
import { type Finding, findingsOf } from "./finding.ts";
import { machineFindings } from "./machine.ts";
import { providerFindings } from "./providers.ts";
import { configFindings, daemonFindings, modelFindings } from "./setup.ts";

/** Looks at everything that Assistant needs. Changes nothing, and one check that fails does not stop the others. */
export async function diagnose(context: CommandContext, version: string): Promise<Finding[]> {
  const { env, paths } = context;
  const hardware = await probeHardware(env);
  const loaded = await loadConfig({ env, configFile: paths.configFile, hardware, keyring: true }).then(
    (config) => ({ config, exists: existsSync(paths.configFile) }),
    (error: unknown) => ({ error }),
  );
  const config: Config | null = "config" in loaded ? loaded.config : null;
  const folder = engineFolder(paths);
  const engines = createEngines({
    folder,
    llamaServerPath: config?.llamaServerPath ?? null,
    pathVariable: variable(env, "PATH") ?? "",
    nodePath: process.execPath,
  });
  const running = connectIfRunning(paths);
  const status = (await running.catch(() => null))?.status ?? null;
  const mustSeparate = config !== null && config.apiKeys.length > 1 && !config.sharePrefixes;
  const areas = await Promise.all([
    machineFindings(process.version, hardware),
    guarded(
      "engines",
      readBackgroundBuild(folder.choices).then((background) =>
        engineFindings(engines, hardware.devices, toolchainGap, mustSeparate, background),
      ),
    ),
    guarded("files", fileFindings(paths, config?.cluster ?? null)),
    configFindings(loaded, status?.notices ?? [], (await loadPresets(paths, env)).notices),
    guarded("models", config === null ? Promise.resolve([]) : modelFindings(config)),
    guarded("providers", providerFindings(config?.providers ?? [])),
    guarded(
      "daemon",
      running.then(async (found) => {
        const end = found === null ? await unexpectedEnd(paths) : null;
        return daemonFindings(found?.status ?? null, version, config?.http ?? null, end && describeEnd(end));
      }),
    ),
  ]);
  return areas.flat();
}

/** A check that cannot be done is itself something that is broken. */
async function guarded(area: Finding["area"], check: Promise<Finding[]>): Promise<Finding[]> {
  try {
    return await check;
  } catch (error) {
    const { message, remedy } = toAssistantError(error);
    return [findingsOf(area)(area, "broken", message, remedy)];
  }
}

async function toolchainGap(): Promise<ToolchainGap> {
  const search = await findToolchain(toolRunner({}), false);
  if (search.complete) return null;
  const error = await missingToolchain(search.missing);
  return { missing: `this machine lacks ${search.missing.join(", ")}`, remedy: error.remedy ?? "" };
}
