import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pull } from "../../src/models/pull.ts";
import { getModel } from "../../src/models/store.ts";
import { packageRoot } from "./assistant.ts";
import { writeWidened } from "./gguf-widen.ts";
import { convertMiniLm } from "./minilm.ts";
import { madeOnce } from "./once.ts";
import { modelStoreIn } from "./store.ts";

/** Weights that test runs keep between them; not in the repository. */
export const testWeightsDir = join(packageRoot, ".cache/test-models");
const testModels = modelStoreIn(testWeightsDir);

const EMBEDDING_SHA256 = "7e01259cec4346ed6884939d130b8b103472ab310dc296a60cf1349d90e5541a";

/** A folder with model files, where the network is to be spared. */
const seed = (): string | null => process.env["ASSISTANT_TEST_SEED"] || null;

/**
 * The small chat model (SmolLM2-135M-Instruct, context 8192, ChatML), as a file. It comes by the product's own pull,
 * which several test processes may ask for at once; where ASSISTANT_TEST_SEED names a folder that has the file, it is
 * imported from there.
 */
export async function chatModelFile(): Promise<string> {
  const folder = seed();
  const reference = folder === null ? "smollm2" : join(folder, "SmolLM2-135M-Instruct.Q4_1.gguf");
  const { file } = await pull(reference, { store: testModels, env: process.env, name: "smollm2" });
  return file;
}

/**
 * The small chat model for engines, with its weights as Q8_0: they compute a prompt in half the time that the file takes
 * which is pulled.
 */
export async function quickChatModelFile(): Promise<string> {
  const file = await chatModelFile();
  return madeOnce(join(packageRoot, ".cache/SmolLM2-135M-Instruct.Q8_0.gguf"), (draft) => writeWidened(file, draft));
}

/** Vectors that the sentence-transformers library gives for the embedding model. */
export const embeddingReferenceFile = join(packageRoot, "test/fixtures/all-MiniLM-L6-v2.reference.json");

/**
 * all-MiniLM-L6-v2 (384 dimensions, mean pooling, at most 256 tokens) as a file, and a JSON file with its reference
 * vectors. In F16 from the folder that ASSISTANT_TEST_SEED names; else in F32, converted from a Python package.
 */
export async function embeddingModelFile(): Promise<{ model: string; reference: string }> {
  const folder = seed();
  const options = { store: testModels, env: process.env };
  if (folder !== null) {
    const { file } = await pull(join(folder, "all-MiniLM-L6-v2.F16.gguf"), {
      ...options,
      name: "all-minilm-l6-v2",
      sha256: EMBEDDING_SHA256,
    });
    return { model: file, reference: embeddingReferenceFile };
  }
  const name = "all-minilm-l6-v2-f32";
  const stored = await getModel(testModels, name);
  if (stored !== null) return { model: stored.file, reference: embeddingReferenceFile };
  // Converted aside and imported: test processes that run at once never see half a file.
  const made = join(await mkdtemp(join(tmpdir(), "assistant-embedding-")), `${name}.gguf`);
  try {
    await convertMiniLm(made);
    return { model: (await pull(made, { ...options, name })).file, reference: embeddingReferenceFile };
  } finally {
    await rm(dirname(made), { recursive: true, force: true });
  }
}
