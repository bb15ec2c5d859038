import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { type Engine, type EngineAvailability, type LaunchPlan, traitsOf } from "../../core/engine.ts";
import { AssistantError } from "../../core/errors.ts";
import type { LlamaSettings } from "../../core/llama.ts";
import { modelKinds } from "../../core/model.ts";
import { programFile } from "../../core/package.ts";
import { backendFor } from "../backends.ts";
import { refuse, refuseLongSocket, refuseTwoGrammars } from "../honour.ts";
import type { WorkerConfig } from "./worker/config.ts";

const BUILD_REMEDY = "Run `assistant engine build` and use the native engine.";

const workerProgram = programFile("src/engines/node-llama-cpp/worker/main");

/** The embedded engine: a worker process of ours around llama.cpp as the package node-llama-cpp brings it, compiled. */
export function createEmbeddedEngine(options: { readonly nodePath: string }): Engine {
  let looked: EngineAvailability | null = null;

  return {
    id: "node-llama-cpp",
    traits: traitsOf("node-llama-cpp"),
    availability() {
      looked ??= look(options.nodePath);
      return Promise.resolve(looked);
    },
    launch(plan) {
      const config = JSON.stringify(workerConfig(plan, looked?.available ? looked.backends : ["cpu"]));
      return { command: options.nodePath, args: [workerProgram, config], env: plan.device.env };
    },
  };
}

function look(nodePath: string): EngineAvailability {
  try {
    const require = createRequire(import.meta.url);
    const packageRoot = dirname(dirname(require.resolve("node-llama-cpp")));
    const { version } = JSON.parse(readFileSync(join(packageRoot, "package.json"), "utf8")) as { version: string };
    const backends = backendPackages(packageRoot);
    if (backends.length === 0) {
      const reason = `node-llama-cpp ${version} brings no llama.cpp for ${process.platform} on ${process.arch}.`;
      return { available: false, reason, remedy: BUILD_REMEDY };
    }
    return { available: true, path: nodePath, version, backends, noticesDisconnects: true, separatesCaches: true };
  } catch (cause) {
    const reason = `The package node-llama-cpp is not installed (${cause instanceof Error ? cause.message.split("\n", 1)[0] : String(cause)}).`;
    return { available: false, reason, remedy: "Install Assistant again with install.sh." };
  }
}

/**
 * The compiled backends are separate packages; one that the machine has no use for is installed as an empty package.
 */
function backendPackages(packageRoot: string): string[] {
  const [system, arch] = [process.platform === "darwin" ? "mac" : "linux", process.arch];
  const holds = (name: string): boolean => existsSync(join(packageRoot, "..", "@node-llama-cpp", name, "bins"));
  if (system === "mac") return holds(`mac-${arch}-metal`) ? ["cpu", "metal"] : holds(`mac-${arch}`) ? ["cpu"] : [];
  if (!holds(`linux-${arch}`)) return [];
  return ["cpu", ...["cuda", "vulkan"].filter((backend) => holds(`linux-${arch}-${backend}`))];
}

/** The worker's configuration for `plan`. Throws `config_invalid` for settings that this engine does not support. */
export function workerConfig(plan: LaunchPlan, backends: readonly string[]): WorkerConfig {
  const { load, kind, name, sampling } = plan.model;
  if (traitsOf("node-llama-cpp").programBytes[kind] === undefined) {
    const message = `${plan.model.file}: The embedded engine does not ${modelKinds[kind].verb}.`;
    throw new AssistantError("config_invalid", message, {
      param: "engine",
      remedy: 'Run `assistant engine build`, and set `engine = "llama-server"` or "auto" for it.',
    });
  }
  refuseTwoGrammars(plan);
  refuseLongSocket(plan, "node-llama-cpp");
  const native = `Set \`engine = "llama-server"\` for it (\`assistant engine build\` builds one), or remove the setting.`;
  if (load.extraArgs.length > 0)
    refuse(plan, "extra_args", "extra_args are for llama-server; the embedded engine takes none.", native);
  for (const key of nativeSettings(load.llama)) refuse(plan, key, `The embedded engine has no \`${key}\`.`, native);
  if (load.projectorPath !== "")
    refuse(plan, "llava_mmproj", "The embedded engine cannot use a multimodal projector.", native);
  if (load.chatTemplate !== "" && load.chatTemplate !== "chatml") {
    refuse(
      plan,
      "prompt_template",
      `The embedded engine supports the model's own template and chatml, not "${load.chatTemplate}".`,
      native,
    );
  }
  if (kind === "chat" && load.pooling !== null)
    refuse(plan, "pooling", "pooling is set on a chat model.", "Remove it; it is for embedding models.");
  return {
    ...{
      socketPath: plan.socketPath,
      modelPath: plan.modelPath,
      modelName: name,
      kind,
      threads: plan.threads,
      sampling,
    },
    ...{ contextTokens: load.contextTokens, slots: load.slots, batchTokens: load.batchTokens },
    ...{
      gpu: gpuOf(plan, backends),
      gpuLayers: load.gpuLayers,
      mmap: load.mmap,
      cacheTypeK: load.cacheTypeK,
      cacheTypeV: load.cacheTypeV,
    },
    ...{ chatTemplate: load.chatTemplate, pooling: load.pooling },
    ...{ flashAttention: load.llama.flashAttention, lora: load.llama.lora },
  };
}

/** Keys of what is set that only llama-server can do. */
function nativeSettings({ speculation, rope, cpuMoeLayers, tensorOverrides }: LlamaSettings): string[] {
  return [
    ...(speculation === null ? [] : ["speculation"]),
    ...(Object.values(rope).every((value) => value === null) ? [] : ["rope_scaling"]),
    ...(cpuMoeLayers === 0 ? [] : ["n_cpu_moe"]),
    ...(tensorOverrides.length === 0 ? [] : ["override_tensor"]),
  ];
}

function gpuOf(plan: LaunchPlan, backends: readonly string[]): WorkerConfig["gpu"] {
  const { vendor, id } = plan.device;
  if (vendor === "cpu") return null;
  const backend = backendFor(backends, vendor);
  if (backend === "cuda" || backend === "vulkan" || backend === "metal") return backend;
  // Running on the CPU under a GPU's name would be slow for a hidden reason.
  throw new AssistantError("engine_unavailable", `The embedded engine is installed without support for ${id}.`, {
    remedy: `${BUILD_REMEDY} Or set \`devices = ["cpu"]\` for the model.`,
  });
}
