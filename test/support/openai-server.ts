import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { CommandSettings } from "../../src/core/command.ts";
import { compileCache } from "./assistant.ts";

/** The fake server with OpenAI's API (test/fakes/openai-server), as `run` of a model file has it. */
export const openAiServer = (...args: readonly string[]): string[] => [
  process.execPath,
  join(dirname(fileURLToPath(import.meta.url)), "../fakes/openai-server/main.ts"),
  ...args,
];

export const commandSettings = (run: readonly string[], changes: Partial<CommandSettings> = {}): CommandSettings => ({
  run,
  listens: run.includes("{socket}") ? "socket" : "port",
  ownListener: true,
  healthPath: "/health",
  env: { NODE_NO_WARNINGS: "1", NODE_COMPILE_CACHE: compileCache },
  passEnv: [],
  workingDir: "",
  stopSignal: "SIGTERM",
  stopGraceMs: 5_000,
  servedModel: "",
  memoryMib: null,
  ...changes,
});

/** What the fake server wrote with `--record`. */
export const recorded = async (file: string): Promise<Record<string, unknown>[]> => {
  const lines = (await readFile(file, "utf8").catch(() => "")).split("\n").filter((line) => line !== "");
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
};
