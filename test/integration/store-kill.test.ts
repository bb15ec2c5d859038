import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { SqliteStore } from "../../src/store/sqlite/store.ts";

const writer = fileURLToPath(new URL("../fakes/store-writer.ts", import.meta.url));
const ROUNDS = [
  { killAfter: 1, sync: "always" },
  { killAfter: 400, sync: "always" },
  { killAfter: 3_000, sync: "everysec" },
];

test("a writer that is killed loses no record that was acknowledged, and the store stays sound", async () => {
  const directory = await mkdtemp(join(tmpdir(), "assistant-store-kill-"));
  try {
    for (const [round, { killAfter, sync }] of ROUNDS.entries()) {
      const place = join(directory, String(round));
      const file = `${place}.acknowledged`;
      const child = spawn(process.execPath, [writer, place, file, "40", sync], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      let signs = 0;
      for await (const chunk of child.stdout) {
        signs += chunk.length;
        if (!child.killed && signs >= killAfter) child.kill("SIGKILL");
      }
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
      expect(child.signalCode).toBe("SIGKILL");
      const acknowledged = (await readFile(file, "utf8")).split("\n").slice(0, -1);
      const store = new SqliteStore({
        directory: place,
        report: (problem) => {
          throw new Error(problem);
        },
      });
      const records = store.collection<{ padding: string }>({ name: "records", indexes: {} });
      const found = await Promise.all(acknowledged.map((id) => records.get(id)));
      expect(acknowledged.length).toBeGreaterThanOrEqual(killAfter);
      expect(found.filter((record) => record === null)).toEqual([]);
      expect(await store.check()).toEqual([]);
      await store.close();
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
