import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { readModelFacts } from "../../../src/models/facts.ts";
import { FactsCache } from "../../../src/models/facts-cache.ts";
import { ggufPieces } from "../../support/gguf-writer.ts";
import { documentsIn } from "../../support/store.ts";

vi.mock("../../../src/models/facts.ts", { spy: true });

let root: string;
let file: string;
beforeEach(async () => {
  vi.mocked(readModelFacts).mockClear();
  root = await mkdtemp(join(tmpdir(), "assistant-facts-"));
  file = join(root, "model.gguf");
  await writeModel("One");
});
afterEach(() => rm(root, { recursive: true, force: true }));

const writeModel = (title: string): Promise<void> =>
  writeFile(
    file,
    Buffer.concat(
      ggufPieces(
        new Map([
          ["general.architecture", { text: "llama" }],
          ["general.name", { text: title }],
        ]),
        [],
      ),
    ),
  );

/** What one command sees. */
async function titleSeen(): Promise<string | null> {
  const cache = new FactsCache(documentsIn(root));
  const { title } = await cache.of(file);
  await cache.save();
  return title;
}

describe("facts of a file outside the store", () => {
  it("are read once, and again when the file has changed", async () => {
    expect(await titleSeen()).toBe("One");
    expect(await titleSeen()).toBe("One");
    expect(readModelFacts).toHaveBeenCalledTimes(1);
    await writeModel("Another");
    expect(await titleSeen()).toBe("Another");
  });

  it("are read anew where what was kept is damaged, and a file that is no model is refused", async () => {
    await writeFile(join(root, "model-facts.json"), "[]");
    expect(await titleSeen()).toBe("One");
    await writeFile(file, "text");
    await expect(titleSeen()).rejects.toMatchObject({ code: "model_invalid" });
  });
});
