import { withProjector } from "./capabilities.ts";
import type { ModelFacts } from "./facts.ts";
import { readGguf } from "./gguf-header.ts";
import { type ModelStore, type StoredModel, writeManifest } from "./store.ts";

/**
 * The facts of a stored model, from its manifest where they were read before. Loading the reader takes 0.3 s: a list of
 * models would be slow otherwise. Throws `model_invalid`.
 */
export async function factsOfStored(model: StoredModel, store: ModelStore): Promise<ModelFacts> {
  const { manifest } = model;
  // A file that is not as long as its manifest says has been exchanged. Earlier versions kept no capabilities.
  if (manifest?.facts?.capabilities !== undefined && manifest.bytes === model.bytes) return manifest.facts;
  const { readModelFacts } = await import("./facts.ts");
  const read = await readModelFacts(model.file);
  const projector = model.projector === null ? null : (await readGguf(model.projector)).capabilities;
  const facts = { ...read, bytes: model.bytes, capabilities: withProjector(read.capabilities, projector) };
  // A store that may only be read gives its facts all the same.
  if (manifest !== null && manifest.bytes === model.bytes)
    await writeManifest(store, { ...manifest, facts }).catch(() => {});
  return facts;
}
