import { describe, expect, test } from "vitest";
import {
  initialState,
  keyOf,
  type PsKey,
  type PsState,
  psReduce,
  scrollWindow,
  sortColumn,
} from "../../../src/ui/ps/state.ts";
import { columns, visibleRows } from "../../../src/ui/rows.ts";
import { manyInstances } from "../../fakes/status.ts";

const rows = visibleRows(manyInstances(3));
const ids = rows.map((row) => row.instance.id);

function press(...keys: PsKey[]): { state: PsState; effects: unknown[] } {
  const effects: unknown[] = [];
  let state = initialState;
  for (const key of keys) {
    const next = psReduce(state, key, rows, columns.slice(0, 4));
    state = next.state;
    if (next.effect !== null) effects.push(next.effect);
  }
  return { state, effects };
}

describe("keys of ps", () => {
  test("letters, arrows and Ctrl-C", () => {
    expect(keyOf("j", {})).toBe("down");
    expect(keyOf("", { upArrow: true })).toBe("up");
    expect(keyOf("c", { ctrl: true })).toBe("quit");
    expect(keyOf("x", { ctrl: true })).toBeNull();
    expect(keyOf("z", {})).toBeNull();
  });

  test("the selection moves and stops at both ends", () => {
    expect(press("down").state.selectedId).toBe(ids[1]);
    expect(press("down", "down", "down", "down").state.selectedId).toBe(ids[2]);
    expect(press("up").state.selectedId).toBe(ids[0]);
  });

  test("stop asks first, and only a yes stops", () => {
    expect(press("stop").effects).toEqual([]);
    expect(press("stop").state.confirmStop).toBe(ids[0]);
    expect(press("stop", "yes").effects).toEqual([{ type: "act", id: ids[0], action: "stop" }]);
    for (const key of ["no", "down", "restart", "stop"] as const)
      expect(press("stop", key)).toMatchObject({ effects: [], state: { confirmStop: null } });
    expect(press("yes").effects).toEqual([]);
  });

  test("restart and pin act on the selected one at once", () => {
    expect(press("down", "restart").effects).toEqual([{ type: "act", id: ids[1], action: "restart" }]);
    expect(press("pin").effects).toEqual([{ type: "act", id: ids[0], action: "pin" }]);
  });

  test("sort goes round the columns that are shown", () => {
    expect(sortColumn(press("sort").state)).toBe(columns[1]);
    expect(sortColumn(press("sort", "sort", "sort", "sort").state)).toBe(columns[0]);
  });

  test("panes open, close with the same key and with Esc", () => {
    expect(press("logs").state.pane).toBe("logs");
    expect(press("logs", "logs").state.pane).toBe("table");
    expect(press("help", "no").state.pane).toBe("table");
  });

  test("with no instance nothing is done, and that is said", () => {
    const next = psReduce(initialState, "stop", [], []);
    expect(next).toMatchObject({
      effect: null,
      state: { confirmStop: null, message: expect.stringContaining("No instance") },
    });
  });
});

test("the window scrolls with the selection", () => {
  const all = Array.from({ length: 10 }, (_, index) => index);
  expect(scrollWindow(all, 0, 4)).toEqual({ first: 0, rows: [0, 1, 2, 3] });
  expect(scrollWindow(all, 5, 4).rows).toContain(5);
  expect(scrollWindow(all, 9, 4)).toEqual({ first: 6, rows: [6, 7, 8, 9] });
  expect(scrollWindow(all, 3, 20).rows).toEqual(all);
});
