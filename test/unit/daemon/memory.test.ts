import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { ModelSpec } from "../../../src/core/model.ts";
import { Memory, type MemoryPorts } from "../../../src/daemon/memory.ts";
import { documentsIn, modelStoreIn } from "../../support/store.ts";

test("what is learned of the voices of an earlier configuration is of no use to the next", async () => {
  const folder = await mkdtemp(join(tmpdir(), "assistant-memory-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const path = join(folder, "kim.onnx");
  await writeFile(path, "voice");
  const memory = new Memory({
    documents: documentsIn(folder),
    store: modelStoreIn(folder),
    log: { warn: () => {} },
    devices: () => [],
    onEstimated: () => {},
  } as unknown as MemoryPorts);
  const voice = { name: "kim", fingerprint: "1", engine: "speech", kind: "speech", source: { type: "file", path } };
  memory.take({ models: [voice as unknown as ModelSpec] });
  memory.take({ models: [] });
  for (let look = 0; look < 5; look++) await stat(path);
  await new Promise(setImmediate);
  expect([...memory.needs.keys()]).toEqual([]);
  memory.take({ models: [voice as unknown as ModelSpec] });
  for (let look = 0; look < 5; look++) await stat(path);
  await new Promise(setImmediate);
  expect([...memory.needs.keys()]).toEqual(["kim"]);
});
