import { useApp, useInput, useWindowSize } from "ink";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { visibleRows } from "../rows.ts";
import type { PsPort, PsSnapshot } from "./port.ts";
import { initialState, keyOf, type PsEffect, type PsState, psReduce, rowsInOrder, selectedRow } from "./state.ts";
import { logPaneLines, PsView, shownColumns } from "./view.tsx";

const DONE: Readonly<Record<string, string>> = {
  stop: "is being stopped.",
  restart: "is being restarted.",
  pin: "is pinned.",
  unpin: "is no longer pinned.",
};

/** `ps` as it lives in a terminal: the pure view, fed by the port and moved by keys. */
export function PsApp({ port }: { readonly port: PsPort }): ReactNode {
  const { exit } = useApp();
  const { columns: width, rows: height } = useWindowSize();
  const [snapshot, setSnapshot] = useState<PsSnapshot>({ status: null, problem: null });
  const [state, setState] = useState(initialState);
  // Keys may arrive faster than renders: each one must see the effect of the one before it.
  const latest = useRef(state);
  const change = (next: PsState): void => {
    latest.current = next;
    setState(next);
  };
  const [logLines, setLogLines] = useState<readonly string[]>([]);

  useEffect(() => port.watch(setSnapshot), [port]);

  const rows = snapshot.status === null ? [] : visibleRows(snapshot.status);
  const logFile =
    state.pane === "logs" ? (selectedRow(rowsInOrder(rows, state), state)?.instance.logFile ?? null) : null;
  useEffect(() => {
    setLogLines([]);
    return logFile === null ? undefined : port.followLog(logFile, logPaneLines(height), setLogLines);
  }, [port, logFile, height]);

  const perform = (effect: PsEffect): void => {
    if (effect.type === "quit") {
      exit();
      return;
    }
    port.act(effect.id, effect.action).then(
      () => change({ ...latest.current, message: `${effect.id} ${DONE[effect.action]}` }),
      (error: unknown) =>
        change({ ...latest.current, message: error instanceof Error ? error.message : String(error) }),
    );
  };

  useInput((input, pressed) => {
    // Several keys typed at once arrive as one input.
    for (const character of input.length > 1 ? input : [input]) {
      const key = keyOf(character, pressed);
      if (key === null) continue;
      const next = psReduce(latest.current, key, rows, shownColumns(rows, width));
      change(next.state);
      if (next.effect !== null) perform(next.effect);
    }
  });

  // One line less than the terminal has: a full last line makes some terminals scroll.
  return (
    <PsView snapshot={snapshot} state={state} logLines={logLines} width={width} height={Math.max(8, height - 1)} />
  );
}
