import type { ModelFacts } from "./facts.ts";
import { type ModelStore, type StoredModel, writeManifest } from "./store.ts";

/**
 * The facts of a stored model, from its manifest where they were read before. Loading the reader takes 0.3 s: a list of
 * models would be slow otherwise. Throws `model_invalid`.
 */
export async function factsOfStored(model: StoredModel, store: ModelStore): Promise<ModelFacts> {
  const { manifest } = model;
  // A file that is not as long as its manifest says has been exchanged.
  if (manifest?.facts !== undefined && manifest.bytes === model.bytes) return manifest.facts;
  const { readModelFacts } = await import("./facts.ts");
  const facts = await readModelFacts(model.file);
  // A store that may only be read gives its facts all the same.
  if (manifest !== null && manifest.bytes === model.bytes)
    await writeManifest(store, { ...manifest, facts }).catch(() => {});
  return facts;
}
