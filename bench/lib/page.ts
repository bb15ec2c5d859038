/** `npm run bench -- page` writes docs/performance.md from the results under bench/results. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { composedCapabilitiesPart, composedWorkersPart } from "../compose/page.ts";
import { peersPart } from "../peers/page.ts";
import { processesPart } from "../processes/page.ts";
import { calibratePart, workloadsPart } from "../workloads/page.ts";
import { benchRoot, type Row } from "./report.ts";

interface Results {
  readonly at: string;
  readonly commit: string | null;
  readonly node: string;
  readonly cpu: string;
  readonly cores: number;
  readonly model?: string;
  /** Of the measurement of conversations. */
  readonly conversations?: number;
  readonly turns?: number;
  readonly slots?: number;
  readonly replicas?: number;
  /** Of the measurement of many models. */
  readonly configured?: number;
  readonly loaded?: number;
  readonly versions?: Readonly<Record<string, string>>;
  readonly rows: readonly Row[];
}

const number = (value: unknown, digits = 2): string =>
  typeof value === "number"
    ? Math.abs(value) >= 100
      ? Math.round(value).toLocaleString("en-US")
      : value.toFixed(digits)
    : "";
const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
const spread = (row: Row): string => `${number(row["median"])} (${number(row["low"])}–${number(row["high"])})`;

const gatewayMeasures: Readonly<Record<string, string>> = {
  requestsPerSecond1: "requests/s, 1 client",
  p50Us: "latency p50, µs",
  p99Us: "latency p99, µs",
  requestsPerSecond32: "requests/s, 32 clients",
  p99At32Us: "latency p99 at 32 clients, µs",
  cpuPerChunkUs: "CPU per relayed chunk, µs",
  gapP99Us: "gap between chunks p99, µs",
};

function gatewayPart({ rows }: Results): string {
  const arms = ["direct", "skeleton", "gateway", "daemon"];
  const figures = Object.entries(gatewayMeasures).map(([measure, title]) => {
    const cells = arms.map((arm) =>
      number(rows.find((row) => row["arm"] === arm && row.measure === measure)?.["median"], 1),
    );
    return [title, ...cells];
  });
  const ratio = (arm: string, measure: string): string => {
    const row = rows.find((other) => other["arm"] === `${arm}/skeleton` && other.measure === measure);
    return row === undefined ? "" : spread(row);
  };
  const ratios = rows
    .filter((row) => row["arm"] === "gateway/skeleton")
    .map(({ measure, goal }) => [measure, ratio("gateway", measure), ratio("daemon", measure), String(goal ?? "")]);
  return [
    "The stub engine answers at once. *Direct* is the stub alone, *skeleton* a bare Node `http` server with undici and `JSON.parse`, *gateway* the gateway with checks, keys and request log in front of an engine that is always free, *daemon* the complete `assistant serve` with scheduler, prefix index and fleet.",
    table(["", ...arms], figures),
    table(["÷ skeleton, median (low–high)", "gateway", "daemon", "goal"], ratios),
  ].join("\n\n");
}

function dialectsPart({ rows }: Results): string {
  const arms = [...new Set(rows.map((row) => String(row["arm"])))];
  const paths = [...new Set(rows.map((row) => String(row["path"])))];
  const find = (arm: string, path: string, measure: string): Row | undefined =>
    rows.find((row) => row["arm"] === arm && row["path"] === path && row.measure === measure);
  const cells = paths.map((path) => [
    `\`${path}\``,
    ...arms.flatMap((arm) => {
      const ratio = find(arm, path, "÷ chat");
      return [number(find(arm, path, "cpuPerChunkUs")?.["median"], 1), ratio === undefined ? "1" : spread(ratio)];
    }),
    String(rows.find((row) => row["path"] === path && row["goal"] !== undefined)?.["goal"] ?? ""),
  ]);
  return [
    "CPU per streamed chunk of the gateway alone, 16 streams of 1,000 chunks each. OpenAI's chat is relayed byte for byte; the other dialects are translated. If successive chunks differ only in their text, the first is parsed and translated, and the text of the others is copied into the same bytes; a property test compares both methods on random streams.",
    table(["path", ...arms.flatMap((arm) => [`${arm}, µs`, `${arm}, ÷ chat`]), "goal"], cells),
  ].join("\n\n");
}

function enginePart({ rows, model }: Results): string {
  const speed = rows
    .filter((row) => row["streams"] !== undefined)
    .map((row) => [
      `${row["streams"]}`,
      String(row["arm"] ?? "daemon ÷ direct"),
      row.measure,
      spread(row),
      String(row["goal"] ?? ""),
    ]);
  const stops = rows
    .filter((row) => row["phase"] !== undefined)
    .map((row) => [
      String(row["phase"]),
      row["streamed"] ? "streamed" : "in one piece",
      row["half"] ? "half-closed" : "closed",
      number(row["p50"], 0),
      number(row["p99"], 0),
      String(row["count"]),
      String(row["goal"]),
    ]);
  return [
    `The native engine with ${model ?? "the chat model"}, directly and behind the daemon. Tokens per second and time to first token:`,
    table(["streams", "arm", "measure", "median (low–high)", "goal"], speed),
    "How long the engine keeps working after a client has disconnected, read from the engine's slots while another client streams:",
    table(["disconnected during", "answer", "connection", "p50 ms", "p99 ms", "samples", "goal"], stops),
  ].join("\n\n");
}

/** Rows of arms with a measure, a spread and a goal. */
const armsTable = (rows: readonly Row[], columns: readonly (readonly [title: string, field: string])[]): string =>
  table(
    [...columns.map(([title]) => title), "median (low–high)", "goal"],
    rows.map((row) => [...columns.map(([, field]) => String(row[field])), spread(row), String(row["goal"] ?? "")]),
  );

/** Measured on 2026-11-29 with a load of 4 to 16 on two cores. */
const WHY_EMBEDDED_IS_SLOWER =
  "The cause of the difference, measured alternately as CPU time, which is less distorted on a busy machine: with one thread, both spend 15 ms on a token of one stream, and 83 ms (embedded) and 96 ms (native) on a token of each of eight. JavaScript, sampling and switching threads take 1 to 2 ms of a step. With two threads on shared cores, a token costs the native engine 39 ms and the embedded one 67 ms: the threads of the prebuilt kernels spin while they wait for each other, and only a program linked with them can supply a barrier that sleeps, as ours does (732 waits per token, against 7). The embedded engine can only switch to one thread, which it does if two are slower. Dispatching each batch at once instead of in the next turn of the event loop, and 1, 2 or 4 threads for sampling, made no difference beyond the noise.";

const embeddedPart = ({ rows, model }: Results): string =>
  [
    `The native engine and the embedded one with ${model ?? "the chat model"}, both loaded, measured alternately.`,
    armsTable(rows, [
      ["streams", "streams"],
      ["engine", "arm"],
      ["measure", "measure"],
    ]),
    WHY_EMBEDDED_IS_SLOWER,
  ].join("\n\n");

const buildPart = ({ rows }: Results): string =>
  [
    "`assistant engine build` from scratch: with all of llama.cpp compiled, and with only the server compiled and linked against node-llama-cpp's prebuilt libraries. Two compilers in parallel, at the lowest priority.",
    armsTable(rows, [
      ["build", "arm"],
      ["measure", "measure"],
    ]),
  ].join("\n\n");

const swapPart = ({ rows }: Results): string =>
  [
    "Two models share one place. A conversation continues after the other model was loaded in between; its slots were saved to disk and restored, or not.",
    table(
      ["slots", "history, tokens", "found in the cache", "time to first token, ms"],
      rows.map((row) => [
        row.measure,
        number(row["historyTokens"], 0),
        number(row["cachedTokens"], 0),
        number(row["ttftMs"], 0),
      ]),
    ),
  ].join("\n\n");

const conversationsPart = ({ rows, conversations, slots, replicas, turns }: Results): string =>
  [
    `${conversations} conversations of ${turns} turns, two at a time, on ${replicas} instances of ${slots} slots: tokens prefilled in later turns, as a multiple of the new ones. In the arm *swap*, another model replaces one instance between turns.`,
    table(
      ["policy", "new tokens", "prefilled", "prefilled ÷ new", "goal", "turn p50 ms", "turn p99 ms"],
      rows.map((row) => [
        String(row["arm"]),
        number(row["newTokens"], 0),
        number(row["prefilled"], 0),
        number(row["ratio"], 2),
        String(row["goal"] ?? ""),
        number(row["p50Ms"], 0),
        number(row["p99Ms"], 0),
      ]),
    ),
  ].join("\n\n");

const shapesPart = ({ rows, slots }: Results): string =>
  [
    `Conversations whose number, concurrency, lengths and replicas are drawn at random, on the real engine: the daemon with replicas of ${slots} slots, compared with one bare llama-server that has all threads and as many slots.`,
    table(
      ["measure", "median", "worst"],
      rows
        .filter((row) => row["arm"] !== "bare" && row.measure !== "shape")
        .map((row) => [row.measure, number(row["median"]), number(row["worst"])]),
    ),
  ].join("\n\n");

const memoryPart = ({ rows }: Results): string => {
  const mib = (value: unknown): string => number(Number(value) / 2 ** 20, 0);
  return [
    "The estimate before a model starts, and the memory its process uses.",
    table(
      ["case", "engine", "kind", "estimate MiB", "measured MiB", "difference"],
      rows.map((row) => [
        row.measure,
        String(row["engine"]),
        String(row["kind"]),
        mib(row["estimateBytes"]),
        mib(row["measuredBytes"]),
        `${number(Number(row["difference"]) * 100, 1)} %`,
      ]),
    ),
  ].join("\n\n");
};

const manyModelsPart = ({ rows, configured, loaded }: Results): string =>
  [
    `A daemon with one configured model, with ${configured}, and with ${loaded} of those loaded. Engines are fakes, so the figures are Assistant's own.`,
    armsTable(rows, [
      ["models", "arm"],
      ["measure", "measure"],
    ]),
  ].join("\n\n");

const attackPart = ({ rows }: Results): string =>
  [
    "Large malformed bodies on one connection, one after the other, while an answer is streamed on another, one chunk every 10 ms: the gaps between its chunks. Goal: p99 below 200 ms.",
    table(
      ["bodies", "chunks streamed", "gap p50, ms", "p99", "longest"],
      rows.map((row) => [
        String(row["attack"]),
        number(row["chunks"], 0),
        ...["p50", "p99", "longest"].map((field) => number(row[field], 1)),
      ]),
    ),
  ].join("\n\n");

const soakPart = ({ rows }: Results): string => {
  const cells = (row: Row): string[] =>
    ["rssMib", "descriptors", "heapMib", "timers", "sockets"].map((field) => number(row[field], 1));
  return [
    "The complete daemon in front of a stub, with 32 clients that reconnect every second. Live objects are counted only after the first tenth and at the end, because counting itself uses memory.",
    table(
      ["requests", "RSS MiB", "descriptors", "live heap MiB", "timers", "sockets"],
      rows.map((row) => [row.measure === "sample" ? number(row["requests"], 0) : row.measure, ...cells(row)]),
    ),
  ].join("\n\n");
};

const parts: readonly (readonly [name: string, title: string, command: string, part: (results: Results) => string])[] =
  [
    ["gateway", "Gateway", "npm run bench -- gateway", gatewayPart],
    ["dialects", "Other dialects", "npm run bench -- dialects before=CHECKOUT", dialectsPart],
    ["peers", "Compared with other programs", "npm run bench -- peers", peersPart],
    [
      "engine",
      "Engine behind the daemon",
      "npm run bench -- engine --model FILE.gguf --llama-server PROGRAM",
      enginePart,
    ],
    ["embedded", "The two engines", "npm run bench -- embedded --model FILE.gguf --llama-server PROGRAM", embeddedPart],
    ["engine-build", "Building the native engine", "npm run bench -- engine-build", buildPart],
    [
      "processes",
      "Several processes on one machine",
      "npm run bench -- processes --model FILE.gguf --llama-server PROGRAM",
      processesPart,
    ],
    [
      "calibrate",
      "Stub engine against a real one",
      "npm run bench -- calibrate --model FILE.gguf --llama-server PROGRAM",
      calibratePart,
    ],
    ["workloads", "Workloads", "npm run bench -- workloads --trace FILE.jsonl", workloadsPart],
    ["conversations", "More conversations than slots", "npm run bench -- conversations", conversationsPart],
    [
      "conversation-shapes",
      "Random conversations",
      "npm run bench -- conversations --shapes 20 --llama-server PROGRAM --chat FILE.gguf",
      shapesPart,
    ],
    ["swap", "Swaps", "npm run bench -- swap", swapPart],
    ["many-models", "Many models", "npm run bench -- many-models", manyModelsPart],
    ["compose-workers", "Workers", "npm run bench -- compose workers", composedWorkersPart],
    ["compose-capabilities", "Routes by capability", "npm run bench -- compose capabilities", composedCapabilitiesPart],
    ["attack", "Under attack", "npm run bench -- attack", attackPart],
    ["soak", "A million requests", "npm run bench -- soak", soakPart],
    ["memory", "Memory estimates", "npm run bench -- memory", memoryPart],
  ];

export function writePage(): string {
  const sections = parts.flatMap(([name, title, command, part]) => {
    const file = join(benchRoot, "results", `${name}.json`);
    if (!existsSync(file)) return [];
    const results = JSON.parse(readFileSync(file, "utf8")) as Results;
    const when = `\`${command}\`, ${results.at.slice(0, 10)}, ${results.cores} cores (${results.cpu}), Node ${results.node}.`;
    return [`## ${title}\n\n${when}\n\n${part(results)}`];
  });
  const intro =
    "# Performance\n\nEvery figure comes from a command under `bench/`, which measures all arms in one run, interleaved, and keeps its results under `bench/results/`. " +
    "Machines are noisy: compare ratios within one run, not absolute times. No test asserts a time. This page is generated by `npm run bench -- page`.\n\n" +
    "The simulations of scheduling policies are in [scheduler](scheduler.md#policies-compared), and more about the engines' speed in [engines](engines.md#speed).";
  const page = join(benchRoot, "../docs/performance.md");
  writeFileSync(page, `${[intro, ...sections].join("\n\n")}\n`);
  return page;
}
