import { appendFile, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LogTail } from "../../../../../commands/support/logs/tail.ts";
import { eventually } from "../../../../support/assistant.ts";

let folder: string;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "assistant-log-"));
  file = join(folder, "current.log");
});
afterEach(() => rm(folder, { recursive: true }));

async function lastLines(path: string, count: number): Promise<string[]> {
  await using tail = await LogTail.open(path);
  return await tail.last(count);
}

describe("the last lines", () => {
  test("of a file that is longer than one block", async () => {
    const lines = Array.from({ length: 20_000 }, (_, index) => `line ${index} äöü`);
    await writeFile(file, `${lines.join("\n")}\n`);
    expect(await lastLines(file, 3)).toEqual(lines.slice(-3));
    expect(await lastLines(file, 15_000)).toEqual(lines.slice(-15_000));
  });

  test("of a short file, one without a newline at its end, an empty one and none", async () => {
    await writeFile(file, "a\nb");
    expect(await lastLines(file, 10)).toEqual(["a", "b"]);
    expect(await lastLines(file, 0)).toEqual([]);
    await writeFile(file, "");
    expect(await lastLines(file, 10)).toEqual([]);
    expect(await lastLines(join(folder, "none"), 10)).toEqual([]);
  });
});

describe("following", () => {
  async function follow(use: (seen: string[]) => Promise<void>): Promise<void> {
    const stop = new AbortController();
    const seen: string[] = [];
    await using tail = await LogTail.open(file);
    await tail.last(0);
    const ended = (async () => {
      for await (const lines of tail.follow(stop.signal)) seen.push(...lines);
    })();
    try {
      await use(seen);
    } finally {
      stop.abort();
      await ended;
    }
  }

  test("gives what is appended, whole lines only", async () => {
    await writeFile(file, "old\n");
    await follow(async (seen) => {
      await appendFile(file, "one\ntw");
      await eventually("the first line", () => seen.length === 1);
      await appendFile(file, "o\n");
      await eventually("the second line", () => seen.length === 2);
      expect(seen).toEqual(["one", "two"]);
    });
  });

  test("goes on in the new file after a rotation, and loses nothing of the old one", async () => {
    await writeFile(file, "old\n");
    await follow(async (seen) => {
      await appendFile(file, "last of the old\n");
      await rename(file, `${file}.1`);
      await writeFile(file, "first of the new\n");
      await eventually("both lines", () => seen.length === 2);
      expect(seen).toEqual(["last of the old", "first of the new"]);
    });
  });

  test("begins where what was read has ended, though the log was rotated meanwhile", async () => {
    await writeFile(file, "old\nread\n");
    await using tail = await LogTail.open(file);
    expect(await tail.last(1)).toEqual(["read"]);
    await appendFile(file, "last of the old\n");
    await rename(file, `${file}.1`);
    await writeFile(file, "first of the new, which is longer than all of the old\n");
    const stop = new AbortController();
    const seen: string[] = [];
    for await (const lines of tail.follow(stop.signal)) {
      seen.push(...lines);
      if (seen.length === 2) stop.abort();
    }
    expect(seen).toEqual(["last of the old", "first of the new, which is longer than all of the old"]);
  });

  test("goes on after the file was emptied, and waits for one that is not there yet", async () => {
    await follow(async (seen) => {
      await writeFile(file, "a long first line\n");
      await eventually("the first line", () => seen.length === 1);
      await writeFile(file, "short\n");
      await eventually("the line after truncation", () => seen.length === 2);
      expect(seen).toEqual(["a long first line", "short"]);
    });
  });
});
