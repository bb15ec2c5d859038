/**
 * What a conversation waits for when its model was swapped out meanwhile, with and without saved slots:
 * `npm run bench -- swap --llama-server PROGRAM --chat FILE.gguf` (after `npm run build`). Writes
 * bench/results/swap.json. Two models share one place; each conversation has a first turn and comes back after the
 * other model was up.
 */
import { readFile, writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { installAssistant } from "../test/support/assistant.ts";
import { printTable, Report } from "./lib/report.ts";

const { values } = parseArgs({
  options: { "llama-server": { type: "string" }, chat: { type: "string" }, rounds: { type: "string", default: "3" } },
});
if (values["llama-server"] === undefined || values.chat === undefined)
  throw new Error("usage: npm run bench -- swap --llama-server PROGRAM --chat FILE.gguf");
const rounds = Number(values.rounds);
const lengths = [60, 150];

interface Message {
  readonly role: string;
  readonly content: string;
}

const toml = (name: string): string =>
  `[chat]\nmodel_name = "${name}"\nsource = "${values.chat}"\nengine = "llama-server"\nctx_size = 4096\nslots = 2\nhost_cache_mib = 0\n`;
const opening = (sentences: number, seed: string): Message[] => [
  {
    role: "user",
    content: `${Array.from({ length: sentences }, (_, index) => `Fact ${index} about ${seed} is well known.`).join(" ")} Which is best?`,
  },
];

/** One streamed turn: time to the first token, and the engine's counts. */
async function turn(url: string, model: string, messages: readonly Message[]) {
  const started = performance.now();
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      model,
      messages,
      max_tokens: 8,
      temperature: 0,
      stream: true,
      stream_options: { include_usage: true },
    }),
  });
  if (response.status !== 200 || response.body === null)
    throw new Error(`status ${response.status}: ${await response.text()}`);
  let firstMs = 0;
  let text = "";
  for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
    text += part;
    if (firstMs === 0 && /"content":"[^"]/.test(text)) firstMs = performance.now() - started;
  }
  const events = text.split("\n").filter((line) => line.startsWith("data: {"));
  const chunks = events.map(
    (line) =>
      JSON.parse(line.slice(6)) as {
        choices?: { delta?: { content?: string } }[];
        usage?: { prompt_tokens: number; prompt_tokens_details?: { cached_tokens: number } };
      },
  );
  const usage = chunks.findLast((chunk) => chunk.usage)?.usage;
  const reply = chunks.map((chunk) => chunk.choices?.[0]?.delta?.content ?? "").join("");
  return {
    firstMs,
    reply,
    promptTokens: usage?.prompt_tokens ?? 0,
    cachedTokens: usage?.prompt_tokens_details?.cached_tokens ?? 0,
  };
}

const median = (list: readonly number[]): number =>
  list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)] ?? Number.NaN;
const report = new Report("swap");
const table: string[][] = [
  ["saved slots", "history tokens", "cached tokens", "TTFT with the swap, ms", "same, shortest to longest"],
];

for (const budget of [4096, 0]) {
  await using assistant = await installAssistant({
    models: { a: toml("a"), b: toml("b") },
    config: `[engine]\nllama_server_path = "${values["llama-server"]}"\n`,
    scheduler: `slot_cache_mib = ${budget}`,
  });
  const file = assistant.env["ASSISTANT_CONFIG"] ?? "";
  await writeFile(file, (await readFile(file, "utf8")).replace("max_instances = 4", "max_instances = 1"));
  const url = await assistant.serve();
  for (const sentences of lengths) {
    const times: number[] = [];
    let [history, cached] = [0, 0];
    for (let round = 0; round < rounds; round++) {
      const messages = opening(sentences, `rivers number ${round}`);
      const first = await turn(url, "a", messages);
      // The other model takes the place.
      await turn(url, "b", opening(5, "mountains"));
      const back = await turn(url, "a", [
        ...messages,
        { role: "assistant", content: first.reply },
        { role: "user", content: "And the next?" },
      ]);
      times.push(back.firstMs);
      [history, cached] = [first.promptTokens, back.cachedTokens];
    }
    const ttftMs = median(times);
    report.add({
      bench: "swap",
      measure: budget > 0 ? "saved" : "not saved",
      historyTokens: history,
      cachedTokens: cached,
      ttftMs,
      times,
    });
    const spread = `${Math.round(Math.min(...times))} to ${Math.round(Math.max(...times))}`;
    table.push([budget > 0 ? "on" : "off", String(history), String(cached), String(Math.round(ttftMs)), spread]);
  }
}
printTable(table);
console.log(report.save({ rounds }));
