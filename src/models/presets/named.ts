import { AssistantError } from "../../core/errors.ts";
import { nearestNames } from "../../core/nearest.ts";
import { catalog, catalogEntry } from "../catalog.ts";
import { type Presets, pullReference } from "./preset.ts";

/** What `pull` is given. */
export interface PullOrder {
  readonly reference: string;
  /** Name in the store; null: the reference's own. */
  readonly name: string | null;
}

/** A name, and maybe a quantization as Ollama's users write tags. */
const NAME = /^([A-Za-z0-9][A-Za-z0-9._-]*?)(?::([A-Za-z0-9_]+))?$/;

/** Whether a reference may be a preset: a name that is not in the catalog, not a path, a URL or a repository. */
export const mayBePreset = (written: string): boolean =>
  NAME.test(written) && !/\.gguf$/i.test(written) && catalogEntry(written.replace(/:latest$/, "")) === null;

/**
 * What to pull for a reference: a preset's file under the preset's name, `NAME:Q8_0` for another quantization of it,
 * and anything else as written. Throws `unknown_source` for an unknown name, and `usage` for a preset without weights.
 */
export function pullOrder(written: string, presets: Presets): PullOrder {
  if (!mayBePreset(written)) return { reference: written, name: null };
  const [, name = "", tag = "latest"] = NAME.exec(written) ?? [];
  const preset = presets.find(name);
  if (preset === null) throw unknownName(written, presets);
  const quantization = tag === "latest" ? null : tag;
  const reference = pullReference(preset, quantization);
  if (reference === null)
    throw new AssistantError("usage", `${preset.name} runs elsewhere; it has no weights to pull.`, {
      param: "reference",
      remedy: `Register it: \`assistant register ${preset.name}\`.`,
    });
  return { reference, name: quantization === null ? preset.name : `${preset.name}-${quantization.toLowerCase()}` };
}

function unknownName(written: string, presets: Presets): AssistantError {
  const near = nearestNames(written, new Set([...catalog, ...presets.all].map(({ name }) => name)));
  return new AssistantError(
    "unknown_source",
    `${JSON.stringify(written)} is neither a known model nor a file on this machine.`,
    {
      param: "reference",
      remedy: `${near.length > 0 ? `Did you mean ${near.join(" or ")}? ` : ""}\`assistant search\` lists the names; others are pulled by hf:ORG/REPO/FILE.gguf, by an https:// address, or from a local file.`,
    },
  );
}
