import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { quickChatModelFile } from "../support/model-files.ts";
import { EngineProcess } from "./engine-process.ts";

/** CPU time of each thread of the process, in clock ticks, by thread id. */
async function ticks(pid: number): Promise<Map<string, number>> {
  const ids = await readdir(`/proc/${pid}/task`);
  const all = ids.map(async (id) => {
    const text = await readFile(`/proc/${pid}/task/${id}/stat`, "utf8");
    // The name, in parentheses, may contain spaces.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return [id, Number(fields[11]) + Number(fields[12])] as const;
  });
  return new Map(await Promise.all(all));
}

/** How many threads did the work of an answer: each with at least a quarter of what the busiest did. */
async function workers(engine: EngineProcess): Promise<number> {
  const pid = engine.child.pid ?? 0;
  const before = await ticks(pid);
  const prompt = Array.from({ length: 40 }, (_, index) => `word ${index}`).join(", ");
  const answer = await engine.post("/completion", { prompt, n_predict: 24, ignore_eos: true, cache_prompt: false });
  expect(answer.body.timings.predicted_n).toBe(24);
  const spent = [...(await ticks(pid))].map(([id, now]) => now - (before.get(id) ?? 0));
  const most = Math.max(...spent);
  return spent.filter((each) => each * 4 >= most).length;
}

test("the native engine computes with as many threads as its file says, from the next batch on", async () => {
  const folder = await mkdtemp(join(tmpdir(), "lent-"));
  const file = join(folder, "threads");
  try {
    await writeFile(file, "1      ");
    const lending = { file, mostThreads: 2 };
    await using engine = await EngineProcess.start("llama-server", await quickChatModelFile(), { lending });
    expect(await workers(engine)).toBe(1);
    await writeFile(file, "2      ");
    expect(await workers(engine)).toBe(2);
    // More than it has are as many as it has; without a number it keeps what it uses.
    await writeFile(file, "9      ");
    expect(await workers(engine)).toBe(2);
    await writeFile(file, "1      ");
    expect(await workers(engine)).toBe(1);
    await rm(file);
    expect(await workers(engine)).toBe(1);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
