import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runWorker } from "../../src/workers/sdk/index.ts";
import { eventually, installAssistant, type TestAssistant } from "../support/assistant.ts";
import { embeddingModelFile, quickChatModelFile } from "../support/model-files.ts";
import { chatModelToml, embeddingModelToml } from "../support/models.ts";
import { nativeEngineConfig } from "../support/native-engine.ts";

let assistant: TestAssistant;
let url = "";
const stopping = new AbortController();
const workers: Promise<number>[] = [];

const ABOUT = [
  "The Tamsui is a river of 159 km in the north of Taiwan, which ends in the Taiwan Strait. ",
  "Sourdough bread rises because wild yeast and bacteria ferment the flour over night. ",
  "A violin has four strings, which are tuned in perfect fifths and played with a bow. ",
  "In chess a rook moves along ranks and files, and a bishop along the diagonals. ",
  "Income tax is due in April; whoever pays late owes interest to the tax office. ",
  "The compiler turns source text into machine code, one function after another. ",
  "A marathon is run over 42 kilometres, mostly on the roads of a large city. ",
];
const page = createServer((_, response) => {
  const paragraphs = ABOUT.map((sentence) => `<p>${sentence.repeat(7)}</p>`);
  response.writeHead(200, { "content-type": "text/html" }).end(`<title>Facts</title>${paragraphs.join("")}`);
});

const layout = async (name: string, yaml: string): Promise<void> => {
  await writeFile(join(assistant.root, `${name}.yaml`), `version: 1\n${yaml}\n`);
  const env = { LLM_NAME: name, LAYOUT_CONFIG: `${name}.yaml`, AGENT_ENDPOINT: `${url}/v1.0/` };
  workers.push(runWorker({ env, cwd: assistant.root, signal: stopping.signal }));
};
const ask = async (model: string, content: string): Promise<string> => {
  const answer = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, messages: [{ role: "user", content }] }),
  });
  const { choices } = (await answer.json()) as { choices: { message: { content: string } }[] };
  return choices[0]?.message.content ?? "";
};

beforeAll(async () => {
  assistant = await installAssistant({
    models: {
      smol: chatModelToml(await quickChatModelFile(), "llama-server", "n_predict = 24\ntemp = 0"),
      minilm: embeddingModelToml((await embeddingModelFile()).model, "llama-server"),
    },
    config: nativeEngineConfig(),
  });
  url = await assistant.serve();
  page.listen(0, "127.0.0.1");
  await once(page, "listening");
  await layout("helper", "llm: { class: AssistantModel, args: { model: smol } }");
  await layout("mirror", "llm: { class: ReflectModel }");
  const args = "embedding_model: minilm, allow_private: true";
  await layout("passages", `override-process: { class: DocumentQaProcess, args: { model: mirror, ${args} } }`);
  await layout(
    "reader",
    `override-process: { class: DocumentQaProcess, args: { model: smol, max_characters: 600, ${args} } }`,
  );
  await eventually("all are registered", async () => {
    const names = (await (await fetch(`${url}/v1.0/worker/list`)).json()) as string[];
    return names.length === workers.length;
  });
});
afterAll(async () => {
  stopping.abort();
  await Promise.all(workers);
  page.close();
  await assistant?.[Symbol.asyncDispose]();
});

test("a worker answers with a model of the daemon behind it", async () => {
  expect(await ask("helper", "Say hello.")).toMatch(/hello/i);
});

test("questions about a page are answered from the passages that an embedding model finds nearest", async () => {
  const { port } = page.address() as AddressInfo;
  const question = `/url http://127.0.0.1:${port}/ Which river flows through northern Taiwan, and how long is it?`;
  const prompt = await ask("passages", question);
  expect(prompt).toContain("The Tamsui is a river of 159 km");
  // Four of seven passages are shown, the river's among them.
  expect(ABOUT.filter((sentence) => prompt.includes(sentence)).length).toBe(4);
  expect(await ask("reader", question)).toMatch(/Tamsui|159|river/i);
});
