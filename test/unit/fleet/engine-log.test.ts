import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { logFileOf, prepareLog, tailOf, tellingLine, trimLog } from "../../../src/fleet/engine-log.ts";

let dir = "";
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "fleet-log-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

test.each([
  [
    "the last complaint",
    "0.00.001.000 I load: ok\n0.00.002.000 E llama_model_load: error loading model: tensor missing\nbye\n",
    "llama_model_load: error loading model: tensor missing",
  ],
  [
    "not the general one after it",
    "0.1 E ggml_cuda: out of memory\n0.2 E srv main: exiting due to model loading error\n",
    "ggml_cuda: out of memory",
  ],
  [
    "the cause that a loader names first",
    "0.1 E gguf_init_from_reader: invalid magic characters\n0.2 E llama_model_load: error loading model: llama_model_loader: failed to load model from /x\n0.3 E srv    load_model: failed to load model, '/x'\n",
    "gguf_init_from_reader: invalid magic characters",
  ],
  ["the last line where nothing complains", "one\ntwo\n\n", "two"],
])("the telling line is %s", (_what, log, line) => {
  expect(tellingLine(log)).toBe(line);
});

test("a silent engine has no telling line, and an endless one is cut", () => {
  expect(tellingLine("\n \n")).toBeNull();
  expect(tellingLine(`error ${"x".repeat(5_000)}`)?.length).toBeLessThan(310);
});

test("distinct instances have distinct files within the directory", () => {
  const ids = ["a@cpu", "a@cuda:0", "a@cuda:0#2", "org/a@cpu", "org_a@cpu", "../../etc/passwd@cpu", "ü@cpu"];
  const files = ids.map((id) => logFileOf("/logs", id));
  expect(new Set(files).size).toBe(ids.length);
  for (const file of files) expect(file).toMatch(/^\/logs\/[^/]+\.log$/);
});

test("at a start a large log is moved aside and three old ones are kept", async () => {
  const file = join(dir, "a.log");
  for (let round = 0; round < 6; round++) {
    expect(await prepareLog(file, 10)).toBe(0);
    await writeFile(file, `round ${round} is long enough`);
  }
  expect((await readdir(dir)).sort()).toEqual(["a.log", "a.log.1", "a.log.2", "a.log.3"]);
  expect(await readFile(`${file}.3`, "utf8")).toContain("round 2");
  await writeFile(file, "short");
  expect(await prepareLog(file, 10)).toBe(5);
});

test("a log that grows while it is written is copied and emptied", async () => {
  const file = join(dir, "a.log");
  await writeFile(file, "0123456789");
  expect(await trimLog(file, 11)).toBe(false);
  expect(await trimLog(file, 10)).toBe(true);
  expect(await readFile(file, "utf8")).toBe("");
  expect(await readFile(`${file}.1`, "utf8")).toBe("0123456789");
});

test("the tail holds the last lines, and nothing of an earlier life", async () => {
  const file = join(dir, "a.log");
  await writeFile(file, "old\none\ntwo\nthree\n");
  expect(await tailOf(file, 2)).toBe("two\nthree");
  expect(await tailOf(file, 10, 4)).toBe("one\ntwo\nthree");
  expect(await tailOf(file, 10, 999)).toBe("old\none\ntwo\nthree");
  expect(await tailOf(join(dir, "none.log"), 10)).toBe("");
});
