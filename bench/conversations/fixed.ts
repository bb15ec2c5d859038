/**
 * More conversations than slots, on a real model with two replicas: how many tokens are prefilled again in later turns,
 * as a multiple of the new ones, by routing policy, and with other models swapped in between the turns: one that takes
 * the place of one replica (`swap`), or two that take all places (`swap-all`).
 * `npm run bench -- conversations --llama-server PROGRAM --chat FILE.gguf [--turns N] [--at-once N] [--shared
 * SENTENCES] [--arms LIST]` (after `npm run build`). With more at once than one replica has slots both are needed again
 * after each swap. Writes bench/results/conversations.json.
 */
import { parseArgs } from "node:util";
import PQueue from "p-queue";
import { installAssistant } from "../../test/support/assistant.ts";
import { printTable, Report } from "../lib/report.ts";
import { quantile } from "../lib/statistics.ts";

const { values } = parseArgs({
  options: {
    "llama-server": { type: "string" },
    chat: { type: "string" },
    conversations: { type: "string", default: "12" },
    turns: { type: "string", default: "4" },
    "at-once": { type: "string", default: "2" },
    shared: { type: "string", default: "0" },
    arms: { type: "string", default: "expected-time,least-outstanding,round-robin,bounded-hash,swap,swap-all" },
  },
});
if (values["llama-server"] === undefined || values.chat === undefined) {
  throw new Error("usage: npm run bench -- conversations --llama-server PROGRAM --chat FILE.gguf");
}
const CONVERSATIONS = Number(values.conversations);
const TURNS = Number(values.turns);
const AT_ONCE = Number(values["at-once"]);
/** Sentences that all conversations begin with, as agents do with their instructions. */
const SHARED = Number(values.shared);
const SLOTS = 4;
const ANSWER_TOKENS = 16;

interface Message {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

interface Conversation {
  readonly messages: Message[];
  /** Of its last turn: prompt and answer together, which the next prompt begins with. */
  known: number;
}

interface Turn {
  readonly newTokens: number;
  readonly prefilled: number;
  readonly ttftMs: number;
}

const model = (name: string, replicas: number): string =>
  `[chat]\nmodel_name = "${name}"\nsource = "${values.chat}"\nengine = "llama-server"\nctx_size = 2048\nslots = ${SLOTS}\nthreads = 1\nreplicas = ${replicas}\npreload = ${replicas > 1}\n`;

const instructions: readonly Message[] =
  SHARED === 0
    ? []
    : [
        {
          role: "system",
          content: Array.from({ length: SHARED }, (_, index) => `Rule ${index} is to be kept always.`).join(" "),
        },
      ];

const said = (conversation: number, turn: number): string =>
  Array.from(
    { length: turn === 0 ? 12 : 6 },
    (_, index) => `Fact ${turn * 20 + index} about river number ${conversation} is well known.`,
  ).join(" ");

async function take(url: string, conversation: Conversation, text: string): Promise<Turn> {
  conversation.messages.push({ role: "user", content: text });
  const startedAt = performance.now();
  const answer = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      model: "bench",
      messages: conversation.messages,
      max_tokens: ANSWER_TOKENS,
      temperature: 0,
    }),
  });
  const body = (await answer.json()) as {
    choices: { message: { content: string } }[];
    usage: { prompt_tokens: number; completion_tokens: number; prompt_tokens_details?: { cached_tokens: number } };
    timings: { prompt_ms: number };
  };
  if (answer.status !== 200) throw new Error(`status ${answer.status}: ${JSON.stringify(body)}`);
  const { prompt_tokens: prompt, completion_tokens: completion, prompt_tokens_details: details } = body.usage;
  conversation.messages.push({ role: "assistant", content: body.choices[0]?.message.content ?? "" });
  const turn = {
    newTokens: prompt - conversation.known,
    prefilled: prompt - (details?.cached_tokens ?? 0),
    ttftMs: performance.now() - startedAt,
  };
  conversation.known = prompt + completion;
  return turn;
}

/** Who comes back is not who was last: another order each turn, the same in every arm. */
function shuffled<Item>(list: readonly Item[], seed: number): Item[] {
  const result = [...list];
  let state = seed * 2_654_435_761;
  for (let index = result.length - 1; index > 0; index--) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    const other = state % (index + 1);
    [result[index], result[other]] = [result[other] as Item, result[index] as Item];
  }
  return result;
}

async function arm(name: string): Promise<readonly Turn[]> {
  const others = name === "swap" ? ["other"] : name === "swap-all" ? ["other", "third"] : [];
  await using assistant = await installAssistant({
    models: { bench: model("bench", 2), other: model("other", 1), third: model("third", 1) },
    config: `[engine]\nllama_server_path = "${values["llama-server"]}"\n`,
    maxInstances: 2,
    scheduler: `policy = "${others.length > 0 ? "expected-time" : name}"\nmax_swap_wait_s = 1\n`,
  });
  const url = await assistant.serve();
  const conversations: Conversation[] = Array.from({ length: CONVERSATIONS }, () => ({
    messages: [...instructions],
    known: 0,
  }));
  const turns: Turn[] = [];
  for (let turn = 0; turn < TURNS; turn++) {
    const queue = new PQueue({ concurrency: AT_ONCE });
    const order = shuffled(
      conversations.map((conversation, index) => ({ conversation, index })),
      turn + 1,
    );
    const taken = await queue.addAll(
      order.map(
        ({ conversation, index }) =>
          () =>
            take(url, conversation, said(index, turn)),
      ),
    );
    if (turn > 0) turns.push(...taken);
    for (const other of turn < TURNS - 1 ? others : []) {
      const answer = await fetch(`${url}/v1/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ model: other, messages: [{ role: "user", content: "Who are you?" }], max_tokens: 4 }),
      });
      if (answer.status !== 200) throw new Error(`status ${answer.status}: ${await answer.text()}`);
    }
  }
  return turns;
}

const report = new Report("conversations");
const table: string[][] = [["arm", "new tokens", "prefilled", "prefilled ÷ new", "goal", "turn p50 ms", "turn p99 ms"]];
for (const name of values.arms.split(",")) {
  const turns = await arm(name);
  const sum = (field: "newTokens" | "prefilled"): number => turns.reduce((total, turn) => total + turn[field], 0);
  const times = turns.map(({ ttftMs }) => ttftMs).sort((a, b) => a - b);
  const figures = {
    newTokens: sum("newTokens"),
    prefilled: sum("prefilled"),
    ratio: sum("prefilled") / sum("newTokens"),
    p50Ms: quantile(times, 0.5),
    p99Ms: quantile(times, 0.99),
  };
  const goal = name === "expected-time" || name.startsWith("swap") ? "≤ 1.1" : "";
  report.add({
    bench: "conversations",
    measure: "tokens prefilled ÷ new",
    arm: name,
    goal,
    turns: turns.length,
    ...figures,
  });
  table.push([
    name,
    String(figures.newTokens),
    String(figures.prefilled),
    figures.ratio.toFixed(2),
    goal,
    figures.p50Ms.toFixed(0),
    figures.p99Ms.toFixed(0),
  ]);
}
console.log("");
printTable(table);
console.log(
  `\nkept in ${report.save({ conversations: CONVERSATIONS, turns: TURNS, atOnce: AT_ONCE, shared: SHARED, slots: SLOTS, replicas: 2 })}`,
);
