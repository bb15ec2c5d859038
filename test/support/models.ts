import type { EngineId } from "../../src/core/model.ts";

/**
 * Model files for tests with real weights: small contexts, so that several instances fit two cores and little memory,
 * and one thread, as threads that wait for each other's core waste both beside other tests.
 */
export const chatModelToml = (
  file: string,
  engine: EngineId,
  extra = "",
  threads: number | "auto" = 1,
): string => `[chat]
model_name = "smol"
source = "${file}"
engine = "${engine}"
ctx_size = 2048
slots = 2
threads = ${JSON.stringify(threads)}
${extra}
`;

export const embeddingModelToml = (file: string, engine: EngineId): string => `[embedding]
model_name = "minilm"
source = "${file}"
engine = "${engine}"
ctx_size = 256
slots = 2
threads = 1
pooling = "mean"
`;

export const bothEngines: readonly EngineId[] = ["llama-server", "node-llama-cpp"];
