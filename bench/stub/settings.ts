import { existsSync, readFileSync, statSync } from "node:fs";
import { type Faults, noFaults } from "./faults.ts";
import { type EngineParameters, readParameters } from "./parameters.ts";

/** What lies beside the weights, as MODEL.gguf.stub.json; all of it may be missing. */
export interface StubFile {
  /** Instead of the calibrated ones. */
  readonly parameters?: Partial<EngineParameters>;
  /** Everything takes this many times less. Default 1. */
  readonly speed?: number;
  readonly seed?: number;
  readonly noise?: number;
  /** Weights that are read at the start; default: the file's size. */
  readonly weightsBytes?: number;
  readonly faults?: Partial<Faults>;
  /** Tokens of an answer without a limit of its own. */
  readonly answerTokens?: number;
}

export interface StubOptions extends Required<Omit<StubFile, "parameters" | "faults">> {
  readonly parameters: EngineParameters;
  readonly faults: Faults;
}

export function readOptions(modelPath: string): StubOptions {
  const file = `${modelPath}.stub.json`;
  const given = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as StubFile) : {};
  return {
    speed: 1,
    seed: 1,
    noise: 0.02,
    answerTokens: 64,
    weightsBytes: given.weightsBytes ?? statSync(modelPath).size,
    ...given,
    parameters: { ...readParameters(), ...given.parameters },
    faults: { ...noFaults, ...given.faults },
  };
}
