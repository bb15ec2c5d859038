import { expect, test } from "vitest";
import { currentRecipe, outdatedParts, type Recipe } from "../../../../src/engines/llama-server/build/recipe.ts";

const recipe: Recipe = {
  sourceTag: "v2",
  patches: [
    { name: "0001-a.patch", sha256: "1" },
    { name: "0002-b.patch", sha256: "2" },
  ],
  flags: ["-DCMAKE_BUILD_TYPE=Release", "-DLLAMA_OPENSSL=OFF"],
};

test.each<[string, Partial<Recipe>, string | null]>([
  ["the same", {}, null],
  ["for the machine's GPU", { flags: [...recipe.flags, "-DGGML_CUDA=ON", "-DCMAKE_CUDA_ARCHITECTURES=native"] }, null],
  ["without patches on purpose", { patches: [] }, null],
  ["of an older release", { sourceTag: "v1" }, "llama.cpp v1 instead of v2"],
  [
    "with an older patch",
    { patches: [{ name: "0001-a.patch", sha256: "0" }, ...recipe.patches.slice(1)] },
    "no or older versions of the patches 0001-a.patch",
  ],
  ["without a new patch", { patches: recipe.patches.slice(0, 1) }, "no or older versions of the patches 0002-b.patch"],
  [
    "with a patch that was given up",
    { patches: [...recipe.patches, { name: "0003-c.patch", sha256: "3" }] },
    "patches that are no longer used, 0003-c.patch",
  ],
  ["with another setting", { flags: ["-DCMAKE_BUILD_TYPE=Release", "-DLLAMA_OPENSSL=ON"] }, "other settings"],
  ["with a setting less", { flags: recipe.flags.slice(0, 1) }, "other settings"],
])("a build %s", (_, build, parts) => {
  expect(outdatedParts({ ...recipe, ...build }, recipe)).toBe(parts);
});

test("a build of this version has all patches of its folder", async () => {
  const { sourceTag, patches } = await currentRecipe();
  expect(sourceTag).toMatch(/^v?\d|^b\d/);
  expect(patches[0]).toMatchObject({ name: expect.stringMatching(/^0001-.*\.patch$/), sha256: expect.any(String) });
});
