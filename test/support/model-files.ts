import { join } from "node:path";
import { pull } from "../../src/models/pull.ts";
import { packageRoot } from "./assistant.ts";

/** Weights that test runs keep between them; not in the repository. */
export const testWeightsDir = join(packageRoot, ".cache/test-models");

const EMBEDDING_SHA256 = "7e01259cec4346ed6884939d130b8b103472ab310dc296a60cf1349d90e5541a";

/** A folder with model files, where the network is to be spared. */
const seed = (): string | null => process.env["ASSISTANT_TEST_SEED"] || null;

/**
 * The small chat model (SmolLM2-135M-Instruct, context 8192, ChatML), as a file. It comes by the product's own pull, which several
 * test processes may ask for at once; where ASSISTANT_TEST_SEED names a folder that has the file, it is imported from there.
 */
export async function chatModelFile(): Promise<string> {
  const folder = seed();
  const reference = folder === null ? "smollm2" : join(folder, "SmolLM2-135M-Instruct.Q4_1.gguf");
  const { file } = await pull(reference, { weightsDir: testWeightsDir, env: process.env, name: "smollm2" });
  return file;
}

/** Vectors that the sentence-transformers library gives for the embedding model. */
export const embeddingReferenceFile = join(packageRoot, "test/fixtures/all-MiniLM-L6-v2.reference.json");

/** all-MiniLM-L6-v2 in F16 (384 dimensions, mean pooling, at most 256 tokens), and a JSON file with its reference vectors. */
export async function embeddingModelFile(): Promise<{ model: string; reference: string }> {
  const folder = seed();
  if (folder === null) throw new Error("the embedding model has no package to come from: set ASSISTANT_TEST_SEED to a folder with all-MiniLM-L6-v2.F16.gguf");
  const { file } = await pull(join(folder, "all-MiniLM-L6-v2.F16.gguf"), {
    weightsDir: testWeightsDir,
    env: process.env,
    name: "all-minilm-l6-v2",
    sha256: EMBEDDING_SHA256,
  });
  return { model: file, reference: embeddingReferenceFile };
}
