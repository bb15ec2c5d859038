import { AssistantError } from "../core/errors.ts";
import { isModelKind, type ModelKind } from "../core/model.ts";
import { withProjector } from "./capabilities.ts";
import { type GgufHeader, type ReadHeader, readGguf, withOtherParts } from "./gguf-header.ts";
import type { StoredModel } from "./store.ts";

/** What a GGUF file says of its model. Null: it does not say. */
export interface ModelFacts extends Omit<GgufHeader, "architecture" | "ranks" | "part"> {
  readonly architecture: string;
  /** By the capability `type`. */
  readonly kind: ModelKind;
}

/** Reads the header of a model's first or only file. Throws `model_invalid` for what cannot be read as a model. */
export async function readModelFacts(file: string, read: ReadHeader = readGguf): Promise<ModelFacts> {
  const { architecture, ranks: _, part: __, ...header } = await withOtherParts(file, await read(file), read);
  if (architecture === null)
    throw new AssistantError("model_invalid", `${file} begins as a GGUF file but names no architecture.`, {
      remedy: "The file is damaged or truncated: remove it and pull it again.",
    });
  const { type } = header.capabilities;
  return { ...header, architecture, kind: typeof type === "string" && isModelKind(type) ? type : "chat" };
}

/** The same of a model in the store, with what its projector adds. */
export async function readStoredFacts(
  { file, projector, bytes }: Pick<StoredModel, "file" | "projector" | "bytes">,
  read: ReadHeader = readGguf,
): Promise<ModelFacts> {
  const facts = await readModelFacts(file, read);
  const added = projector === null ? null : (await read(projector)).capabilities;
  return { ...facts, bytes, capabilities: withProjector(facts.capabilities, added) };
}
