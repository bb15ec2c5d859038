import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { columns, sortRows, visibleRows } from "../../../src/ui/rows.ts";
import { fitTable, plainTable, titleLine } from "../../../src/ui/table.ts";
import { failedInstance, fakeInstance, fakeModel, fakeStatus, manyInstances } from "../../fakes/status.ts";

const widthOf = (texts: readonly string[]): number => texts.join("  ").length;

describe("columns that fit", () => {
  test("no line is ever wider than the terminal, and the instance is always there", () => {
    const rows = visibleRows(manyInstances(8));
    fc.assert(
      fc.property(fc.integer({ min: 20, max: 250 }), (width) => {
        const table = fitTable(columns, rows, width);
        expect(table.columns[0]?.column.title).toBe("INSTANCE");
        expect(widthOf(titleLine(table))).toBeLessThanOrEqual(width);
        for (const cells of table.lines) expect(widthOf(cells.map((cell) => cell.text))).toBeLessThanOrEqual(width);
      }),
    );
  });

  test("a wider terminal never shows less", () => {
    const rows = visibleRows(manyInstances(2));
    let before = 0;
    for (let width = 20; width <= 250; width++) {
      const { length } = fitTable(columns, rows, width).columns;
      expect(length).toBeGreaterThanOrEqual(before);
      before = length;
    }
    expect(before).toBe(columns.length);
  });

  test("the plain table cuts nothing", () => {
    const lines = plainTable(columns, visibleRows(manyInstances(1)));
    expect(lines[0]).toMatch(/^INSTANCE .* PID$/u);
    expect(lines[1]).toContain("qwen2.5-coder-32b-instruct-q4_k_m@cuda:0");
  });
});

describe("rows", () => {
  test("instances that were stopped on purpose are gone, those that died are not", () => {
    const death = { at: 0, message: "m", exitCode: 0, signal: null };
    const status = fakeStatus({
      instances: [
        fakeInstance({ id: "idle", state: "absent", lastDeath: { ...death, cause: "idle" } }),
        fakeInstance({ id: "crashed", state: "absent", lastDeath: { ...death, cause: "signal" } }),
        fakeInstance({ id: "up" }),
      ],
    });
    expect(visibleRows(status).map((row) => row.instance.id)).toEqual(["crashed", "up"]);
  });

  test("states say what is going on", () => {
    const text = (fields: Parameters<typeof fakeInstance>[0]): string | undefined => {
      const [row] = visibleRows(fakeStatus({ instances: [fakeInstance(fields)] }));
      return row && columns[1]?.cell(row).text;
    };
    expect(text({ state: "starting" })).toBe("loading");
    expect(text({ pinned: true })).toBe("ready*");
    expect(text({ state: "draining" })).toBe("draining");
    const [failed] = visibleRows(fakeStatus({ instances: [failedInstance()] }));
    expect(failed && columns[1]?.cell(failed)).toEqual({ text: "failed ↻20s", tone: "bad" });
  });

  test("sorting by a figure puts the highest first, and ties stay in the order of ids", () => {
    const rows = visibleRows(
      fakeStatus({
        models: [fakeModel()],
        instances: [
          fakeInstance({ id: "b", decodeTokensPerSecond: 5 }),
          fakeInstance({ id: "c" }),
          fakeInstance({ id: "a", decodeTokensPerSecond: 5 }),
          fakeInstance({ id: "d", decodeTokensPerSecond: 50 }),
        ],
      }),
    );
    const speed = columns.find((column) => column.title === "TOK/S");
    expect(speed && sortRows(rows, speed).map((row) => row.instance.id)).toEqual(["d", "a", "b", "c"]);
  });
});
