import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { expect, it } from "vitest";
import { startHub } from "../fakes/hub.ts";
import { compileCache } from "../support/assistant.ts";
import { ggufLike, testStore } from "../support/store.ts";

const program = join(dirname(fileURLToPath(import.meta.url)), "../fakes/pull-once.ts");

it("two processes that pull one model download it once", async () => {
  await using hub = await startHub();
  await using store = await testStore();
  const body = ggufLike(600_000);
  hub.set("/m.gguf", { body, pieceMs: 30 });
  const run = () =>
    execa(process.execPath, [program, `${hub.url}/m.gguf`, store.dir], {
      extendEnv: false,
      env: { NODE_NO_WARNINGS: "1", NODE_COMPILE_CACHE: compileCache },
    });
  const results = (await Promise.all([run(), run()])).map(
    ({ stdout }) => JSON.parse(stdout) as { alreadyPresent: boolean; phases: string[]; file: string },
  );
  expect(results.map(({ alreadyPresent }) => alreadyPresent).sort()).toEqual([false, true]);
  expect(results.find(({ alreadyPresent }) => alreadyPresent)?.phases).toEqual(["wait"]);
  expect(hub.requests).toHaveLength(1);
  expect(await readFile(join(store.dir, "m.gguf"))).toEqual(body);
  expect(await store.files()).toEqual(["m.gguf", "m.json"]);
});
