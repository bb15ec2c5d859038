import path from "node:path";
import { expandHome } from "../../../src/config/paths.ts";
import { parseSource, sourceText } from "../../../src/config/source.ts";
import { ESPEAK } from "../../../src/config/speech.ts";
import type { ModelFileOrder } from "../../../src/config/write.ts";
import { AssistantError } from "../../../src/core/errors.ts";
import type { ModelSource } from "../../../src/core/model.ts";
import { catalogEntry, DEFAULT_MODEL } from "../../../src/models/catalog.ts";
import { isModelName } from "../../../src/models/names.ts";
import { loadPresets } from "../../../src/models/presets/load.ts";
import { getModel } from "../../../src/models/store.ts";
import { isVoiceFile } from "../../../src/models/voice.ts";
import type { CommandContext } from "../cli/context.ts";
import { modelStore } from "../stores.ts";

/** Name and source of the model, whichever of the two were given. A reference may stand where the name is expected. */
export async function modelOrder(
  { env, paths }: CommandContext,
  name: string | undefined,
  flags: { readonly source?: string | undefined; readonly embedding: boolean },
): Promise<Omit<ModelFileOrder, "hardware">> {
  const reference = flags.source ?? name ?? DEFAULT_MODEL;
  const parsed = parseSource(reference, (written) => path.resolve(expandHome(written, env.HOME ?? "")));
  if (typeof parsed === "string")
    throw new AssistantError("usage", `${flags.source === undefined ? "NAME" : "--source"}: ${parsed}.`, {
      param: "source",
    });
  const speaks = reference === ESPEAK || isVoiceFile(reference);
  const kind = flags.embedding ? "embedding" : speaks ? "speech" : "chat";
  if (reference === ESPEAK) return { name: name ?? ESPEAK, source: ESPEAK, kind };
  if (parsed.type !== "catalog") {
    const own = path.basename(pathIn(parsed)).replace(/\.(?:gguf(@.*)?|onnx)$/i, "");
    return { name: flags.source === undefined ? own : (name ?? own), source: sourceText(parsed), kind };
  }
  const known = catalogEntry(parsed.name);
  if (known !== null)
    return { name: name ?? known.name, source: known.name, kind: flags.embedding ? "embedding" : known.kind };
  const stored = isModelName(parsed.name) ? await getModel(modelStore(paths), parsed.name) : null;
  if (stored !== null) return { name: name ?? stored.name, source: stored.file, kind };
  const preset = (await loadPresets(paths, env)).find(parsed.name);
  if (preset !== null && preset.kind !== "cloud")
    return { name: name ?? preset.name, source: preset.name, kind: preset.kind === "embedding" ? preset.kind : kind };
  throw new AssistantError(
    "unknown_source",
    `${JSON.stringify(parsed.name)} is neither known by name nor pulled already.`,
    {
      remedy:
        "Specify the weights with `--source hf:ORG/REPO/FILE.gguf` or `--source PATH`; " +
        "`assistant search` lists the names.",
    },
  );
}

const pathIn = (source: ModelSource): string =>
  source.type === "file" ? source.path : source.type === "huggingface" ? source.file : "";
