import type { BuildManifest } from "./manifest.ts";
import { commonFlags } from "./plan.ts";
import { findPatches, pinnedTag } from "./source.ts";

/** The parts of a build that are the same on every machine. */
export type Recipe = Pick<BuildManifest, "sourceTag" | "patches" | "flags">;

/** That of this version of Assistant. */
export async function currentRecipe(): Promise<Recipe> {
  const [sourceTag, patches] = await Promise.all([pinnedTag(), findPatches()]);
  return { sourceTag, patches, flags: commonFlags };
}

/** Flags that depend on the machine. */
const OF_MACHINE = /^-D(?:GGML_CUDA|CMAKE_CUDA_ARCHITECTURES)=/u;

/**
 * How a build differs from a new one, for people: "older patches (0002-…)"; null: it does not. One without patches is
 * meant to have none.
 */
export function outdatedParts(build: Recipe, { sourceTag, patches, flags }: Recipe): string | null {
  const isStock = build.patches.length === 0;
  const digests = new Set(build.patches.map(({ sha256 }) => sha256));
  const older = isStock ? [] : patches.filter(({ sha256 }) => !digests.has(sha256)).map(({ name }) => name);
  const dropped = build.patches.map(({ name }) => name).filter((name) => !patches.some((patch) => patch.name === name));
  const own = build.flags.filter((flag) => !OF_MACHINE.test(flag));
  const parts = [
    ...(build.sourceTag === sourceTag ? [] : [`llama.cpp ${build.sourceTag} instead of ${sourceTag}`]),
    ...(older.length === 0 ? [] : [`no or older versions of the patches ${older.join(", ")}`]),
    ...(dropped.length === 0 ? [] : [`patches that are no longer used, ${dropped.join(", ")}`]),
    ...(own.length === flags.length && own.every((flag) => flags.includes(flag)) ? [] : ["other settings"]),
  ];
  return parts.length === 0 ? null : parts.join("; ");
}
