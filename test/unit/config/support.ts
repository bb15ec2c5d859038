import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { noticeText } from "../../../src/config/findings.ts";
import { type LoadOptions, loadConfig } from "../../../src/config/load.ts";
import type { Config } from "../../../src/core/config.ts";
import type { Hardware } from "../../../src/core/device.ts";
import type { AssistantError } from "../../../src/core/errors.ts";
import type { ModelSpec } from "../../../src/core/model.ts";

const GIB = 2 ** 30;
const cpuDevice = (memory: number) => ({
  id: "cpu",
  vendor: "cpu" as const,
  name: "Test CPU",
  memoryTotalBytes: memory,
  memoryFreeBytes: memory,
  utilizationPercent: null,
  temperatureCelsius: null,
  env: {},
});

/** A machine without GPUs. */
export function cpuOnly(cores = 4, memoryGib = 16): Hardware {
  const memory = memoryGib * GIB;
  return {
    devices: [cpuDevice(memory)],
    cpu: { model: "Test CPU\n@ 3 GHz", physicalCores: cores, logicalCores: cores * 2 },
    memoryTotalBytes: memory,
    memoryAvailableBytes: memory,
    problems: [],
  };
}

/** A machine with `count` equal GPUs. */
export function withGpus(count: number, gpuGib = 80): Hardware {
  const base = cpuOnly(64, 1024);
  const gpus = Array.from({ length: count }, (_, index) => ({
    id: `cuda:${index}`,
    vendor: "nvidia" as const,
    name: "Test GPU",
    memoryTotalBytes: gpuGib * GIB,
    memoryFreeBytes: gpuGib * GIB,
    utilizationPercent: 0,
    temperatureCelsius: 40,
    env: { CUDA_VISIBLE_DEVICES: String(index) },
  }));
  return { ...base, devices: [...gpus, ...base.devices] };
}

/** A configuration directory made for one test. */
export interface Site extends AsyncDisposable {
  readonly root: string;
  readonly configFile: string;
  file(name: string): string;
  load(options?: Partial<LoadOptions>): Promise<Config>;
  /** Loads, expecting it to fail. */
  failure(options?: Partial<LoadOptions>): Promise<AssistantError>;
}

/**
 * Writes `files` (paths relative to the directory) and offers to load them. Hardware is a CPU with 4 cores unless a
 * test says otherwise.
 */
export async function site(files: Readonly<Record<string, string>>): Promise<Site> {
  const root = await mkdtemp(path.join(tmpdir(), "assistant-config-"));
  // Model files alone are not about the main file: an empty one keeps its absence out of the notices.
  const main =
    "config.toml" in files || Object.keys(files).every((name) => !name.startsWith("models/"))
      ? {}
      : { "config.toml": "" };
  for (const [name, text] of Object.entries({ ...files, ...main })) {
    await mkdir(path.dirname(path.join(root, name)), { recursive: true });
    await writeFile(path.join(root, name), text);
  }
  const configFile = path.join(root, "config.toml");
  const load: Site["load"] = (options = {}) =>
    loadConfig({ hardware: cpuOnly(), configFile, ...options, env: { HOME: root, ...options.env } });
  return {
    root,
    configFile,
    file: (name) => path.join(root, name),
    load,
    async failure(options) {
      const result = await load(options).then(
        () => null,
        (error: unknown) => error as AssistantError,
      );
      if (result === null) throw new Error("the configuration loaded, although it should not");
      return result;
    },
    [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }),
  };
}

/** Notices as lines, with the directory left out. */
export const noticeLines = (config: Config, at: Site): string[] =>
  config.notices.map((notice) => `${notice.severity} ${noticeText(notice)}`.replaceAll(`${at.root}/`, ""));

export function model(config: Config, name: string): ModelSpec {
  const found = config.models.find((candidate) => candidate.name === name);
  if (found === undefined)
    throw new Error(`no model ${name}; there are ${config.models.map((candidate) => candidate.name).join(", ")}`);
  return found;
}
