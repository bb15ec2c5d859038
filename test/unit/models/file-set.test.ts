import { execFileSync } from "node:child_process";
import { expect, it } from "vitest";
import { digestOfSet, modelsAmong, partsOf } from "../../../src/models/file-set.ts";

it("finds the parts of a model by the name of any", () => {
  const parts = ["q/m-00001-of-00003.gguf", "q/m-00002-of-00003.gguf", "q/m-00003-of-00003.gguf"];
  for (const part of parts) expect(partsOf(part)).toEqual(parts);
  expect(partsOf("m.gguf")).toEqual(["m.gguf"]);
  expect(partsOf("m-1-of-3.gguf")).toEqual(["m-1-of-3.gguf"]);
});

it("groups parts, takes projectors for no models, and misses what is not there", () => {
  const files = [
    "README.md",
    "a.gguf",
    "b-00001-of-00002.gguf",
    "b-00002-of-00002.gguf",
    "c-00002-of-00002.gguf",
    "mmproj-F32.gguf",
    "mmproj-BF16.gguf",
    "mmproj-F16.gguf",
    "a.imatrix.gguf",
  ];
  expect(modelsAmong(files)).toEqual({
    models: [
      { weights: ["a.gguf"], projector: "mmproj-F16.gguf" },
      { weights: ["b-00001-of-00002.gguf", "b-00002-of-00002.gguf"], projector: "mmproj-F16.gguf" },
    ],
    missing: ["c-00001-of-00002.gguf"],
  });
});

it("has the digest of a set from the list that sha256sum prints", () => {
  const files = [
    { name: "b.gguf", sha256: "b".repeat(64) },
    { name: "a.gguf", sha256: "a".repeat(64) },
  ];
  const list = `${"a".repeat(64)}  a.gguf\n${"b".repeat(64)}  b.gguf\n`;
  const printed = execFileSync("sha256sum", { input: list, encoding: "utf8" });
  expect(digestOfSet(files)).toBe(printed.slice(0, 64));
  expect(digestOfSet(files.toReversed())).toBe(digestOfSet(files));
});
