import { styleText } from "node:util";
import type { DaemonStatus, ModelStatus } from "../api/status.ts";
import { formatBytes, formatDuration, plural } from "./format.ts";
import { inFlightElsewhere, nodesSummary } from "./nodes-text.ts";
import { noticeLine, restartLines } from "./notices.ts";
import { printableTexts } from "./printable.ts";
import { providersSummary, providerTrouble } from "./providers-text.ts";
import { visibleRows } from "./rows.ts";
import { deathSentence, deviceFacts } from "./summary.ts";
import { alignColumns } from "./table.ts";

/** What `assistant status` prints of a running daemon, in the manner of systemctl. Pure. */
export function statusText(given: DaemonStatus, colour: boolean): string[] {
  const status = printableTexts(given);
  const paint = (style: "green" | "red" | "yellow" | "bold", text: string): string =>
    colour ? styleText(style, text, { validateStream: false }) : text;
  const state = status.state === "running" ? paint("green", "running") : paint("yellow", "stopping");
  const rows = visibleRows(status);
  const inFlight = rows.reduce((sum, row) => sum + row.instance.inFlight, 0);
  const { nodes = [], providers = [] } = status;
  const elsewhere = inFlightElsewhere(nodes);
  const atProviders = inFlightElsewhere(providers);
  const facts: [string, string][] = [
    [
      "State",
      `${state} for ${formatDuration(status.now - status.startedAt)} (pid ${status.pid}, version ${status.version}, ${formatBytes(status.rssBytes)})`,
    ],
    ["URL", status.url === null ? "none: HTTP is disabled" : `${status.url}/v1`],
    ...(status.grpc ? [["gRPC", status.grpc] as [string, string]] : []),
    ...(nodes.length === 0 ? [] : [["Nodes", nodesSummary(nodes)] as [string, string]]),
    ...(providers.length === 0 ? [] : [["Providers", providersSummary(providers)] as [string, string]]),
    [
      "Requests",
      `${inFlight} running${elsewhere + atProviders > 0 ? " here" : ""}${elsewhere > 0 ? `, ${elsewhere} on other machines` : ""}${atProviders > 0 ? `, ${atProviders} at providers` : ""}, ${status.queued} waiting, ${status.requestsServed} served`,
    ],
    ["Config", `${status.configFile}${status.configFileFound === false ? " (missing: defaults apply)" : ""}`],
    ["Data", status.dataDir],
    ["Log", status.logFile],
  ];
  const deaths = rows.flatMap((row) => deathSentence(row.instance, row.now) ?? []);
  return [
    `${paint("bold", "Assistant")}: the daemon is ${status.state}`,
    ...facts.map(([name, value]) => `${name.padStart(10)}: ${value}`),
    "",
    ...modelLines(status.models),
    "",
    ...section(
      "Devices",
      status.devices.map((device) => [device.id, device.name, deviceFacts(device).join(", ")]),
      "none found",
    ),
    ...block(
      "Trouble",
      [
        ...deaths,
        ...providers.flatMap((provider) => providerTrouble(provider, status.now)),
        ...status.notices.map(noticeLine),
        ...restartLines(status.restartSettings),
      ],
      (line) => paint(/^warning|applies (?:it|them)$/u.test(line) ? "yellow" : "red", line),
    ),
    ...block("Hints", status.hints, (line) => line),
  ];
}

/** Number of inconspicuous models that are shown; there may be hundreds. */
const MAX_AT_REST = 10;

function modelLines(models: readonly ModelStatus[]): string[] {
  let atRest = 0;
  const shown = models.filter((model) => !isAtRest(model) || ++atRest <= MAX_AT_REST);
  const more = models.length - shown.length;
  return [
    ...section("Models", shown.map(modelRow), "none configured: `assistant init` writes a first one"),
    ...(more === 0 ? [] : [`  and ${more} more not loaded: see \`assistant list\``]),
  ];
}

const isAtRest = ({ error, instances, queued, pinned, replicasNote, engine }: ModelStatus): boolean =>
  error === null && instances === 0 && queued === 0 && !pinned && !replicasNote && !ELSEWHERE.includes(engine);

/** What the engine is called of models that no engine of this machine runs. */
const ELSEWHERE = ["remote", "provider", "worker", "pipeline"];

function modelRow(model: ModelStatus): string[] {
  const state =
    model.error !== null
      ? model.error
      : model.engine === "remote"
        ? "on a remote server"
        : model.engine === "provider" || model.engine === "worker"
          ? `at a ${model.engine}`
          : model.engine === "pipeline"
            ? "made of stages"
            : model.instances > 0
              ? `${plural(model.instances, "instance")} ready`
              : "not loaded";
  const notes = [
    ...(model.queued > 0 ? [`${model.queued} waiting`] : []),
    ...(model.pinned ? ["pinned"] : []),
    ...(model.replicasNote ? [model.replicasNote] : []),
    ...(model.aliases.length > 0 ? [`also ${model.aliases.join(", ")}`] : []),
  ];
  return [model.name, model.kind, model.engine, [state, ...notes].join(", ")];
}

const section = (title: string, rows: string[][], empty: string): string[] => [
  `${title}:`,
  ...(rows.length === 0 ? [`  ${empty}`] : alignColumns(rows).map((line) => `  ${line}`)),
];

const block = (title: string, lines: readonly string[], paint: (line: string) => string): string[] =>
  lines.length === 0 ? [] : ["", `${title}:`, ...lines.map((line) => `  ${paint(line)}`)];
