import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { ConfigWatch } from "../../../src/daemon/watch.ts";
import { eventually } from "../../support/assistant.ts";

let root = "";
let changes = 0;
let watching: ConfigWatch;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "assistant-watch-"));
  changes = 0;
});
afterEach(async () => {
  watching[Symbol.dispose]();
  await rm(root, { recursive: true });
});

const at = (...names: string[]): string => join(root, ...names);

async function begin(): Promise<void> {
  const watched = () => ({ files: [at("config.toml"), at("elsewhere", "named.toml")], directories: [at("models")] });
  watching = new ConfigWatch({ clock: systemClock, lookMs: 100, watched, onChange: () => changes++ });
  await new Promise((resolve) => setTimeout(resolve, 150));
}
const noticed = (count: number): Promise<unknown> => eventually(`change ${count}`, () => changes === count, 5_000);

test("a link's target that changes, and one that is put in its place", async () => {
  await mkdir(at("models"));
  await mkdir(at("store"));
  await writeFile(at("store", "a.toml"), "one");
  await symlink(at("store", "a.toml"), at("models", "a.toml"));
  await begin();
  await writeFile(at("store", "a.toml"), "two, longer");
  await noticed(1);
  await writeFile(at("store", "next"), "three");
  await rename(at("store", "next"), at("store", "a.toml"));
  await noticed(2);
});

test("a Kubernetes ConfigMap: ..data is swapped for another", async () => {
  await mkdir(at("models", "..2026_1"), { recursive: true });
  await mkdir(at("models", "..2026_2"));
  await writeFile(at("models", "..2026_1", "a.toml"), "one");
  await writeFile(at("models", "..2026_2", "a.toml"), "two");
  await symlink("..2026_1", at("models", "..data"));
  await symlink(join("..data", "a.toml"), at("models", "a.toml"));
  await begin();
  await symlink("..2026_2", at("models", "..data_tmp"));
  await rename(at("models", "..data_tmp"), at("models", "..data"));
  await noticed(1);
});

test("a directory that another takes the place of, and what happens in that one", async () => {
  await mkdir(at("models"));
  await writeFile(at("models", "a.toml"), "one");
  await begin();
  await mkdir(at("new"));
  await writeFile(at("new", "a.toml"), "two");
  await rename(at("models"), at("old"));
  await rename(at("new"), at("models"));
  await noticed(1);
  await writeFile(at("models", "b.toml"), "more");
  await noticed(2);
});

test("a directory that was not there at first", async () => {
  await begin();
  await mkdir(at("models"));
  await writeFile(at("models", "a.toml"), "one");
  await noticed(1);
});

test("the main file and one that it names elsewhere, written in place or renamed over", async () => {
  await mkdir(at("elsewhere"));
  await writeFile(at("config.toml"), "one");
  await writeFile(at("elsewhere", "named.toml"), "one");
  await begin();
  await writeFile(at("elsewhere", "named.toml"), "two, longer");
  await noticed(1);
  await writeFile(at("config.toml.swp"), "two");
  await rename(at("config.toml.swp"), at("config.toml"));
  await noticed(2);
  await rm(at("config.toml"));
  await noticed(3);
});

test("a burst of writes is one change, and other files are none", async () => {
  await mkdir(at("models"));
  await begin();
  for (let index = 0; index < 10; index++) {
    await writeFile(at("models", "a.toml"), "x".repeat(index));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await noticed(1);
  await writeFile(at("models", "a.toml.swp"), "no model file");
  await writeFile(at("notes.txt"), "neither");
  await new Promise((resolve) => setTimeout(resolve, 700));
  expect(changes).toBe(1);
});
