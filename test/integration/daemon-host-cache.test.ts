import { readFile } from "node:fs/promises";
import { afterEach, expect, test } from "vitest";
import { ask, type FakeInstallation, installFakes } from "../support/fake-installation.ts";

let assistant: FakeInstallation;
afterEach(() => assistant?.[Symbol.asyncDispose]());

/** MiB that the model's engine was started with. */
async function cacheOf(name: string): Promise<number> {
  const [line = ""] = (await readFile(`${assistant.weights(name)}.launches`, "utf8")).split("\n");
  const { argv } = JSON.parse(line) as { argv: string[] };
  return Number(argv[argv.indexOf("--cache-ram") + 1]);
}

test("the caches in host memory of all engines together keep within the machine's budget", async () => {
  const models = { river: { toml: "host_cache_mib = 100" }, mountain: { toml: "host_cache_mib = 100" } };
  assistant = await installFakes({ models, scheduler: "host_cache_budget_mib = 150" });
  const url = await assistant.serve();
  for (const name of ["river", "mountain"]) expect((await ask(url, name, "Hello")).status).toBe(200);
  expect([await cacheOf("river"), await cacheOf("mountain")]).toEqual([75, 75]);
});
