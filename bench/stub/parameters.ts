import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { EngineRates } from "./time.ts";

/** Everything that makes the stub as fast as one engine with one model on one machine. */
export interface EngineParameters extends Required<EngineRates> {
  /** Bytes of text in one token, and tokens that the template adds to a prompt. */
  readonly bytesPerToken: number;
  readonly templateTokens: number;
  /** Weights are read this fast when an engine starts. */
  readonly loadBytesPerSecond: number;
  /** Of the host cache. */
  readonly kvBytesPerToken: number;
}

/** What the calibration keeps beside the parameters. */
export interface ParameterFile {
  /** Where the figures come from. */
  readonly from: Readonly<Record<string, unknown>>;
  readonly parameters: EngineParameters;
}

export const parametersFile = join(dirname(fileURLToPath(import.meta.url)), "parameters.json");

/** The parameters of the last calibration. Throws where one is missing. */
export function readParameters(file = parametersFile): EngineParameters {
  const { parameters } = JSON.parse(readFileSync(file, "utf8")) as ParameterFile;
  for (const name of Object.keys(largeGpu)) {
    if (!Number.isFinite(parameters[name as keyof EngineParameters]))
      throw new Error(`${file} has no number for ${name}: run the calibration again`);
  }
  return parameters;
}

export const writeParameters = (contents: ParameterFile, file = parametersFile): void =>
  writeFileSync(file, `${JSON.stringify(contents, null, 2)}\n`);

/** About an 8B model on one large GPU, as in the simulator: where a workload would take hours on a CPU. */
export const largeGpu: EngineParameters = {
  prefillTokensPerSecond: 12_000,
  decodeBaseMs: 8,
  decodeEachMs: 0.25,
  decodeKvMsPerToken: 0.00004,
  prefillPairMs: 0,
  promptBaseMs: 2,
  mixedDecodeShare: 1,
  bytesPerToken: 4,
  templateTokens: 8,
  loadBytesPerSecond: 2 * 2 ** 30,
  kvBytesPerToken: 8192,
};
