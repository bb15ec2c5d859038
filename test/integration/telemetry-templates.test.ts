import { cp, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, expect, test } from "vitest";
import { packageRoot } from "../support/assistant.ts";
import { promtool } from "../support/promtool.ts";

const templates = join(packageRoot, "templates/prometheus");
let program: string;
let folder: string;

beforeAll(async () => {
  program = await promtool();
  folder = await mkdtemp(join(tmpdir(), "assistant-rules-"));
  await cp(join(templates, "alerts.yml"), join(folder, "alerts.yml"));
  await cp(join(packageRoot, "test/fixtures/alerts.test.yml"), join(folder, "alerts.test.yml"));
}, 120_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

test("Prometheus takes the rules and the scrape configuration", async () => {
  await execa(program, ["check", "rules", join(folder, "alerts.yml")]);
  await execa(program, ["check", "config", "--syntax-only", join(templates, "scrape.yml")]);
});

test("alerts fire for what they are about, and for nothing else", async () => {
  const { stdout } = await execa(program, ["test", "rules", join(folder, "alerts.test.yml")]);
  expect(stdout).toContain("SUCCESS");
});

test("every panel of the dashboard has a query, a place of its own and the chosen data source", async () => {
  const { panels } = JSON.parse(await readFile(join(packageRoot, "templates/grafana/assistant.json"), "utf8")) as {
    panels: { type: string; id: number; datasource?: { uid: string }; targets?: { expr: string }[]; gridPos: object }[];
  };
  const shown = panels.filter(({ type }) => type !== "row");
  expect(shown.every(({ targets = [] }) => targets.length > 0 && targets.every(({ expr }) => expr !== ""))).toBe(true);
  expect(new Set(shown.map(({ datasource }) => datasource?.uid))).toEqual(new Set(["$" + "{datasource}"]));
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  expect(new Set(panels.map(({ gridPos }) => JSON.stringify(gridPos))).size).toBe(panels.length);
});
