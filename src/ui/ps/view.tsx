import { Box, Text } from "ink";
import type { ReactNode } from "react";
import type { DaemonStatus } from "../../api/status.ts";
import { bar, truncate } from "../format.ts";
import { restartLines, shortNoticeLine } from "../notices.ts";
import { type Cell, type Column, columns, type InstanceRow, type Tone, visibleRows } from "../rows.ts";
import {
  brokenModels,
  deathSentence,
  deviceFacts,
  headline,
  idleSentence,
  joinThatFits,
  memoryUsed,
} from "../summary.ts";
import { type FittedTable, fitTable, titleLine } from "../table.ts";
import type { PsSnapshot } from "./port.ts";
import { type PsState, rowsInOrder, scrollWindow, selectedRow, sortColumn } from "./state.ts";

export interface PsViewProps {
  readonly snapshot: PsSnapshot;
  readonly state: PsState;
  /** Last lines of the selected instance's log, for the logs pane. */
  readonly logLines: readonly string[];
  /** Characters. */
  readonly width: number;
  readonly height: number;
}

// Two characters at the left say which row is selected.
const MARGIN = 2;
// Header, blank, titles; blank and key line at the end.
const FIXED_LINES = 5;
const COLOURS: Readonly<Record<Tone, string | undefined>> = {
  plain: undefined,
  good: "green",
  busy: "yellow",
  bad: "red",
  dim: "gray",
};

/** The table as it fits into this terminal: what the view draws and what `s` may sort by. */
function tableFor(rows: readonly InstanceRow[], width: number): FittedTable {
  return fitTable(columns, rows, width - MARGIN);
}

export const shownColumns = (rows: readonly InstanceRow[], width: number): Column[] =>
  tableFor(rows, width).columns.map(({ column }) => column);

/** Lines that the logs pane has in a terminal of this height. */
export const logPaneLines = (height: number): number => Math.max(3, Math.floor(height / 2) - 2);

/** The whole live view of `ps`. Pure: the same props give the same screen. */
export function PsView({ snapshot, state, logLines, width, height }: PsViewProps): ReactNode {
  const { status, problem } = snapshot;
  if (status === null) return <Text>{problem ?? "Asking the daemon…"}</Text>;
  if (state.pane === "help") return <Help width={width} />;
  const rows = rowsInOrder(visibleRows(status), state);
  const below = state.pane === "logs" ? null : belowTable(status, rows, width, Math.floor((height - FIXED_LINES) / 2));
  const room = height - FIXED_LINES - (below === null ? logPaneLines(height) + 2 : below.length);
  return (
    <Box flexDirection="column" width={width} height={height}>
      <Header status={status} problem={problem} width={width} />
      <Text> </Text>
      <Instances rows={rows} state={state} width={width} room={room} idle={idleSentence(status)} />
      {below === null ? <Logs row={selectedRow(rows, state)} lines={logLines} width={width} height={height} /> : below}
      <Box flexGrow={1} />
      <Footer state={state} width={width} />
    </Box>
  );
}

function Header({
  status,
  problem,
  width,
}: {
  status: DaemonStatus;
  problem: string | null;
  width: number;
}): ReactNode {
  const name = `Assistant ${status.version}`;
  if (problem !== null) {
    return (
      <Text wrap="truncate">
        <Text bold>{name}</Text> <Text color="red">{truncate(problem, width - name.length - 1)}</Text>
      </Text>
    );
  }
  return (
    <Text wrap="truncate">
      <Text bold>{name}</Text>
      {` · ${joinThatFits(headline(status), width - name.length - 3)}`}
    </Text>
  );
}

function Instances({
  rows,
  state,
  width,
  room,
  idle,
}: {
  rows: InstanceRow[];
  state: PsState;
  width: number;
  room: number;
  /** The text if there are no rows. */
  idle: string;
}): ReactNode {
  if (rows.length === 0) {
    return <Text color="gray">{`  ${truncate(idle, width - MARGIN)}`}</Text>;
  }
  const selected = selectedRow(rows, state);
  const window = scrollWindow(rows, selected === null ? 0 : rows.indexOf(selected), room);
  const table = tableFor(rows, width);
  const sorted = sortColumn(state);
  return (
    <Box flexDirection="column">
      <Text wrap="truncate">
        {"  "}
        {titleLine(table).map((title, index) => (
          <Text key={table.columns[index]?.column.title ?? title}>
            {index === 0 ? "" : "  "}
            <Text bold color="cyan" underline={table.columns[index]?.column === sorted}>
              {title}
            </Text>
          </Text>
        ))}
      </Text>
      {window.rows.map((row, index) => (
        <Row key={row.instance.id} cells={table.lines[window.first + index] ?? []} selected={row === selected} />
      ))}
    </Box>
  );
}

function Row({ cells, selected }: { cells: readonly Cell[]; selected: boolean }): ReactNode {
  return (
    <Text wrap="truncate" bold={selected}>
      <Text color="cyan">{selected ? "› " : "  "}</Text>
      {cells.map((cell, index) => {
        const colour = COLOURS[cell.tone];
        // Cells have no identity but their place.
        return (
          <Text
            key={columns[index]?.title ?? index}
            {...(colour === undefined ? {} : { color: colour })}
          >{`${index === 0 ? "" : "  "}${cell.text}`}</Text>
        );
      })}
    </Text>
  );
}

/** Devices, what died and why, and what the daemon wants to say: one element per line, at most `limit` of them. */
function belowTable(status: DaemonStatus, rows: readonly InstanceRow[], width: number, limit: number): ReactNode[] {
  const nameWidth = Math.max(0, ...status.devices.map((device) => device.id.length));
  const barWidth = width >= 90 ? 20 : 10;
  const devices = status.devices.map((device) => {
    const left = `  ${device.id.padEnd(nameWidth)}  `;
    const facts = joinThatFits([...deviceFacts(device), device.name], width - left.length - barWidth - 2);
    const used = memoryUsed(device);
    return (
      <Text key={device.id} wrap="truncate">
        {left}
        <Text color={used > 0.95 ? "red" : "cyan"}>{bar(used, barWidth)}</Text>
        {`  ${facts}`}
      </Text>
    );
  });
  const remarks = [
    ...rows.flatMap((row) => deathSentence(row.instance, row.now) ?? []).map((text) => ({ text, colour: "red" })),
    ...brokenModels(status, rows).map(({ name, error }) => ({ text: `${name}: ${error}`, colour: "red" })),
    ...status.models.flatMap((model) =>
      model.replicasNote ? [{ text: `${model.name}: ${model.replicasNote}`, colour: "gray" }] : [],
    ),
    ...waiting(status).map((text) => ({ text, colour: "yellow" })),
    ...status.notices.map((notice) => ({
      text: shortNoticeLine(notice),
      colour: notice.severity === "error" ? "red" : "yellow",
    })),
    ...restartLines(status.restartSettings).map((text) => ({ text, colour: "yellow" })),
    ...status.hints.map((text) => ({ text: `Hint: ${text}`, colour: "gray" })),
  ].map(({ text, colour }) => (
    <Text key={text} color={colour} wrap="truncate">
      {`  ${truncate(text, width - MARGIN)}`}
    </Text>
  ));
  const gap = (name: string): ReactNode => <Text key={name}> </Text>;
  const lines = [
    ...(devices.length > 0 ? [gap("before devices"), ...devices] : []),
    ...(remarks.length > 0 ? [gap("before remarks"), ...remarks] : []),
  ];
  return lines.slice(0, Math.max(2, limit));
}

/** Models with requests that wait and no instance to show them at. */
function waiting(status: DaemonStatus): string[] {
  const shown = new Set(
    status.instances.filter((instance) => instance.state !== "absent").map((instance) => instance.model),
  );
  return status.models
    .filter((model) => model.queued > 0 && !shown.has(model.name))
    .map(
      (model) =>
        `${model.name}: ${model.queued} waiting for ${model.engine === "remote" ? "another machine" : "an instance"}`,
    );
}

function Logs({
  row,
  lines,
  width,
  height,
}: {
  row: InstanceRow | null;
  lines: readonly string[];
  width: number;
  height: number;
}): ReactNode {
  const title = row === null ? "No instance, no log" : row.instance.logFile;
  return (
    <Box flexDirection="column">
      <Text> </Text>
      <Text color="cyan" bold>{`  ${truncate(title, width - MARGIN, true)}`}</Text>
      <Text>
        {lines
          .slice(-logPaneLines(height))
          .map((line) => `  ${truncate(line, width - MARGIN)}`)
          .join("\n")}
      </Text>
    </Box>
  );
}

const keyHints = (state: PsState): string[] => {
  const { title, highFirst } = sortColumn(state);
  return [
    "q quit",
    "? help",
    `s sort: ${title.toLowerCase()} ${highFirst ? "↓" : "↑"}`,
    "↑↓ select",
    "x stop",
    "l logs",
    "r restart",
    "p pin",
  ];
};

function Footer({ state, width }: { state: PsState; width: number }): ReactNode {
  if (state.confirmStop !== null)
    return (
      <Text color="yellow" bold>
        {truncate(`Stop ${state.confirmStop}? Running requests may finish. y/n`, width)}
      </Text>
    );
  if (state.message !== null) return <Text color="yellow">{truncate(state.message, width)}</Text>;
  return <Text color="gray">{joinThatFits(keyHints(state), width, "   ")}</Text>;
}

const HELP: readonly (readonly [string, string])[] = [
  ["↑ ↓  k j", "select an instance"],
  ["s", "sort by the next column on the screen"],
  ["x", "stop the instance; running requests may finish"],
  ["r", "restart it"],
  ["p", "pin it (never evicted, never stopped for idleness), or undo that; pinned ones show ready*"],
  ["l  Enter", "show its log; again: back"],
  ["Esc", "back to the table"],
  ["q  Ctrl-C", "quit; the daemon keeps running"],
  ["SLOTS", "running requests ÷ concurrent requests it can process"],
  ["LOAD", "work in flight ÷ capacity"],
  ["QUEUE", "requests that wait for the model"],
];

function Help({ width }: { width: number }): ReactNode {
  return (
    <Box flexDirection="column" width={width}>
      <Text bold>Keys and columns of assistant ps</Text>
      <Text> </Text>
      {HELP.map(([key, meaning]) => (
        <Text key={key} wrap="truncate">
          <Text color="cyan">{`  ${key.padEnd(11)}`}</Text>
          {truncate(meaning, width - 13)}
        </Text>
      ))}
      <Text> </Text>
      <Text color="gray">? or Esc: back</Text>
    </Box>
  );
}
