import { describe, expect, it } from "vitest";
import { type Choice, chooseFiles, type RepositoryFile } from "../../../src/models/pull/hub-files.ts";

const gib = 2 ** 30;
const file = (path: string, bytes = gib): RepositoryFile => ({ path, bytes, sha256: null });
const repository = [
  file("README.md", 10),
  file("m-Q2_K.gguf", 2 * gib),
  file("m-Q4_K_M.gguf", 4 * gib),
  file("m-UD-Q4_K_XL.gguf", 4 * gib),
  file("Q8_0/m-Q8_0-00001-of-00002.gguf", 4 * gib),
  file("Q8_0/m-Q8_0-00002-of-00002.gguf", 4 * gib),
  file("mmproj-F16.gguf"),
];
const chosen = (choice: Partial<Choice>, files: readonly RepositoryFile[] = repository) =>
  chooseFiles(files, { repo: "acme/m", file: null, quantisation: null, memoryBytes: null, ...choice });
const weights = (choice: Partial<Choice>) => chosen(choice).weights;

describe("the files of a repository", () => {
  it("are the usual quantization where none is named, with the projector", () => {
    expect(chosen({})).toEqual({ weights: ["m-Q4_K_M.gguf"], projector: "mmproj-F16.gguf" });
  });

  it("are those of the named quantization, in all parts and whatever the letter case", () => {
    expect(weights({ quantisation: "q8_0" })).toEqual([
      "Q8_0/m-Q8_0-00001-of-00002.gguf",
      "Q8_0/m-Q8_0-00002-of-00002.gguf",
    ]);
    expect(weights({ quantisation: "UD-Q4_K_XL" })).toEqual(["m-UD-Q4_K_XL.gguf"]);
    expect(weights({ quantisation: "Q4_K_XL" })).toEqual(["m-UD-Q4_K_XL.gguf"]);
  });

  it("are all parts where one of them is named, and a projector alone where that is", () => {
    expect(weights({ file: "Q8_0/m-Q8_0-00002-of-00002.gguf" })).toHaveLength(2);
    expect(chosen({ file: "mmproj-F16.gguf" })).toEqual({ weights: ["mmproj-F16.gguf"], projector: null });
  });

  it("fit the memory of the machine", () => {
    expect(weights({ memoryBytes: 16 * gib })).toEqual(["m-Q4_K_M.gguf"]);
    expect(weights({ memoryBytes: 3 * gib })).toEqual(["m-Q2_K.gguf"]);
    expect(() => weights({ memoryBytes: gib })).toThrow(
      expect.objectContaining({
        code: "unknown_source",
        message: expect.stringContaining("the smallest takes 2.5 GB"),
        remedy: expect.stringContaining("assistant pull hf:acme/m/m-Q2_K.gguf"),
      }),
    );
    // Whoever names one gets it.
    expect(weights({ quantisation: "Q4_K_M", memoryBytes: gib })).toEqual(["m-Q4_K_M.gguf"]);
  });

  it("that are missing are named, with what is there", () => {
    expect(() => chosen({ quantisation: "Q5_K_M" })).toThrow(
      expect.objectContaining({ remedy: expect.stringContaining("m-Q2_K.gguf, m-Q4_K_M.gguf") }),
    );
    expect(() => chosen({ file: "m-Q4_K_S.gguf" })).toThrow(
      expect.objectContaining({ remedy: expect.stringContaining("m-Q4_K_M.gguf") }),
    );
    expect(() => chosen({}, [file("model.safetensors")])).toThrow(
      expect.objectContaining({ remedy: expect.stringContaining("no GGUF files at all") }),
    );
    expect(() => chosen({ file: "x-00001-of-00002.gguf" }, [file("x-00001-of-00002.gguf")])).toThrow(
      expect.objectContaining({ message: expect.stringContaining("x-00002-of-00002.gguf is missing") }),
    );
  });
});
