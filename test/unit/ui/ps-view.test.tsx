import { renderToString } from "ink";
import { render } from "ink-testing-library";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { DaemonStatus } from "../../../src/api/status.ts";
import { PsApp } from "../../../src/ui/ps/app.tsx";
import type { PsPort, PsSnapshot } from "../../../src/ui/ps/port.ts";
import { initialState, type PsState } from "../../../src/ui/ps/state.ts";
import { PsView } from "../../../src/ui/ps/view.tsx";
import { failedInstance, fakeInstance, fakeModel, fakeStatus, manyInstances } from "../../fakes/status.ts";

interface Looks {
  readonly width: number;
  readonly height?: number;
  readonly problem?: string;
  readonly state?: Partial<PsState>;
  readonly log?: readonly string[];
}

function screen(status: DaemonStatus | null, { width, height = 24, problem, state, log = [] }: Looks): string {
  const view = (
    <PsView
      snapshot={{ status, problem: problem ?? null }}
      state={{ ...initialState, ...state }}
      logLines={log}
      width={width}
      height={height}
    />
  );
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are not what is looked at here
  return renderToString(view, { columns: width }).replace(/\u001b\[[0-9;]*m/gu, "");
}

const trouble = fakeStatus({
  models: [
    fakeModel(),
    fakeModel({ name: "waiting", queued: 4, instances: 0 }),
    fakeModel({ name: "lost", error: "the file is not here", instances: 0 }),
  ],
  instances: [fakeInstance({ inFlight: 3, load: 0.75, decodeTokensPerSecond: 134.2 }), failedInstance()],
  notices: [{ severity: "warning", file: "/etc/assistant/config.toml", line: 3, key: "x", message: "an odd key" }],
  hints: ["The native engine would be faster."],
});

describe.each([60, 100, 200])("at %i columns", (width) => {
  test.each([
    ["none", fakeStatus({ instances: [] })],
    ["one", fakeStatus()],
    ["eight with long names", manyInstances(8)],
    ["a failed one", trouble],
  ])("%s: every line fits, and the screen is not higher than the terminal", (_name, status) => {
    const lines = screen(status, { width }).split("\n");
    expect(lines.length).toBeLessThanOrEqual(24);
    for (const line of lines) expect(line.length, line).toBeLessThanOrEqual(width);
  });

  test("the reason of a failure, the model that waits, notices and hints are told", () => {
    const text = screen(trouble, { width });
    for (const part of ["big@cuda:0", "failed", "waiting: 4", "lost: the file", "Hint:"]) expect(text).toContain(part);
  });
});

test("what died and why, with the next try", () => {
  expect(screen(trouble, { width: 200 })).toContain(
    "big@cuda:0: exit code 1: cudaMalloc failed: out of memory (20s ago, 3 tries so far; next try in 20s)",
  );
});

test("a model waits for an instance, or for the machine that alone has it", () => {
  const models = [
    fakeModel({ name: "here", queued: 2, instances: 0 }),
    fakeModel({ name: "far", engine: "remote", queued: 1, instances: 0 }),
  ];
  const text = screen(fakeStatus({ models, instances: [fakeInstance()] }), { width: 120 });
  expect(text).toContain("here: 2 waiting for an instance");
  expect(text).toContain("far: 1 waiting for another machine");
});

test("eight instances in a low terminal scroll with the selection", () => {
  const status = manyInstances(8);
  const text = screen(status, { width: 100, height: 16, state: { selectedId: status.instances[7]?.id ?? null } });
  expect(text).toMatch(/› .*cuda:7/u);
  expect(text.split("\n").length).toBeLessThanOrEqual(16);
  expect(text).toContain("q quit");
});

test("nothing loaded, and nothing configured, say what to do", () => {
  expect(screen(fakeStatus({ instances: [] }), { width: 100 })).toContain(
    "A request loads one, or `assistant load smollm2`.",
  );
  expect(screen(fakeStatus({ instances: [], models: [] }), { width: 100 })).toContain("assistant run smollm2");
});

test("a daemon that went away is said, and the last picture stays", () => {
  const text = screen(fakeStatus(), { width: 100, problem: "The daemon is not running. Waiting for it…" });
  expect(text).toContain("The daemon is not running");
  expect(text).toContain("smollm2@cpu");
  expect(screen(null, { width: 60 })).toContain("Asking the daemon");
});

test("the question before a stop, the log and the help", () => {
  expect(screen(fakeStatus(), { width: 80, state: { confirmStop: "smollm2@cpu" } })).toContain("Stop smollm2@cpu?");
  const log = screen(fakeStatus(), { width: 80, state: { pane: "logs" }, log: ["first", "second"] });
  expect(log).toContain("/var/log/assistant/smollm2@cpu.log");
  expect(log).toContain("second");
  expect(screen(fakeStatus(), { width: 80, state: { pane: "help" } })).toContain("SLOTS");
});

describe("the app", () => {
  let unmount: (() => void) | null = null;
  afterEach(() => unmount?.());

  /** An app on a port whose snapshots the test sends, and the actions it was asked for. */
  function start(act: PsPort["act"] = async () => {}) {
    let tell: ((snapshot: PsSnapshot) => void) | null = null;
    const actions: string[] = [];
    const logs: string[] = [];
    const port: PsPort = {
      watch: (listener) => {
        tell = listener;
        return () => {};
      },
      act: (id, action) => {
        actions.push(`${action} ${id}`);
        return act(id, action);
      },
      followLog: (file, _lines, listener) => {
        logs.push(file);
        listener(["a line of the log"]);
        return () => logs.push("closed");
      },
    };
    const app = render(<PsApp port={port} />);
    unmount = app.unmount;
    const show = (status: DaemonStatus) =>
      vi.waitFor(() => {
        if (tell === null) throw new Error("the app does not watch yet");
        tell({ status, problem: null });
      });
    return { app, actions, logs, show };
  }

  test("shows what it is told, stops after a yes, and says how that went", async () => {
    const { app, actions, show } = start();
    await show(fakeStatus());
    await vi.waitFor(() => expect(app.lastFrame()).toContain("smollm2@cpu"));
    app.stdin.write("x");
    await vi.waitFor(() => expect(app.lastFrame()).toContain("y/n"));
    app.stdin.write("y");
    await vi.waitFor(() => expect(app.lastFrame()).toContain("smollm2@cpu is being stopped."));
    expect(actions).toEqual(["stop smollm2@cpu"]);
  });

  test("an action that fails says why", async () => {
    const { app, show } = start(async () => {
      throw new Error("No instance has this id.");
    });
    await show(fakeStatus());
    await vi.waitFor(() => expect(app.lastFrame()).toContain("smollm2@cpu"));
    app.stdin.write("r");
    await vi.waitFor(() => expect(app.lastFrame()).toContain("No instance has this id."));
  });

  test("the log is followed while its pane is open", async () => {
    const { app, logs, show } = start();
    await show(fakeStatus());
    await vi.waitFor(() => expect(app.lastFrame()).toContain("smollm2@cpu"));
    app.stdin.write("l");
    await vi.waitFor(() => expect(app.lastFrame()).toContain("a line of the log"));
    app.stdin.write("l");
    await vi.waitFor(() => expect(logs).toContain("closed"));
  });
});
