import { mkdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import writeFileAtomic from "write-file-atomic";
import { AssistantError } from "../core/errors.ts";
import type { EngineId } from "../core/model.ts";

/** What `engine = "auto"` means on this machine, as `assistant engine use` has set it. */
export interface EngineChoice {
  readonly engine: EngineId | "auto";
  /** A llama-server of the user's own, or null: the built one, then the one on the PATH. */
  readonly llamaServerPath: string | null;
}

export const NO_CHOICE: EngineChoice = { engine: "auto", llamaServerPath: null };

const fileOf = (enginesDir: string): string => join(enginesDir, "choice.json");

/** The remembered choice; `auto` where none was made. Throws `config_invalid` on a file that is not one of ours. */
export async function readEngineChoice(enginesDir: string): Promise<EngineChoice> {
  const file = fileOf(enginesDir);
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return NO_CHOICE;
    throw error;
  }
  const choice = parse(text);
  if (choice) return choice;
  throw new AssistantError("config_invalid", `${file} should hold {"engine": "auto" | "llama-server" | "node-llama-cpp", "llamaServerPath": path or null}.`, {
    remedy: "Run `assistant engine use auto` to write it anew.",
  });
}

export async function writeEngineChoice(enginesDir: string, choice: EngineChoice): Promise<string> {
  const file = fileOf(enginesDir);
  await mkdir(dirname(file), { recursive: true });
  await writeFileAtomic(file, `${JSON.stringify(choice)}\n`);
  return file;
}

function parse(text: string): EngineChoice | null {
  try {
    const { engine, llamaServerPath } = JSON.parse(text) as Partial<EngineChoice>;
    const known = engine === "auto" || engine === "llama-server" || engine === "node-llama-cpp";
    return known && (llamaServerPath === null || typeof llamaServerPath === "string") ? { engine, llamaServerPath } : null;
  } catch {
    return null;
  }
}
