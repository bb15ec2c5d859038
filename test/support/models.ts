import type { EngineId } from "../../src/core/model.ts";

/**
 * Model files for tests with real weights: small contexts, so that several instances fit two cores and little memory.
 */
export const chatModelToml = (file: string, engine: EngineId, extra = ""): string => `[chat]
model_name = "smol"
source = "${file}"
engine = "${engine}"
ctx_size = 2048
slots = 2
${extra}
`;

export const embeddingModelToml = (file: string, engine: EngineId): string => `[embedding]
model_name = "minilm"
source = "${file}"
engine = "${engine}"
ctx_size = 256
slots = 2
pooling = "mean"
`;

export const bothEngines: readonly EngineId[] = ["llama-server", "node-llama-cpp"];
