import { stat } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { AssistantError } from "../../core/errors.ts";
import type { JsonObject } from "../../core/inference.ts";
import type { Stage, StageFactory } from "../stage.ts";

/** A module that never becomes ready would prevent all pipelines from being loaded. */
const LOAD_MS = 10_000;

/** A custom stage: a TypeScript or JavaScript module that exports `createStage`. A changed file is loaded again. */
export async function moduleStage(file: string, settings: JsonObject): Promise<Stage> {
  const late = new AbortController();
  const timeout = sleep(LOAD_MS, null, { signal: late.signal }).then(() => {
    throw invalid(`The module ${file} is not ready after ${LOAD_MS / 1000} s.`);
  });
  try {
    return await Promise.race([load(file, settings), timeout]);
  } finally {
    timeout.catch(() => {});
    late.abort();
  }
}

async function load(file: string, settings: JsonObject): Promise<Stage> {
  const found = await stat(file).catch(() => null);
  if (found === null) throw invalid(`The module ${file} does not exist.`);
  const url = `${pathToFileURL(file).href}?changed=${found.mtimeMs}`;
  const module = (await import(url).catch((error: unknown) => {
    throw invalid(`The module ${file} cannot be loaded: ${messageOf(error)}`);
  })) as { readonly createStage?: unknown };
  if (typeof module.createStage !== "function")
    throw invalid(`The module ${file} exports no function \`createStage\`.`);
  let stage: Partial<Stage> | null;
  try {
    stage = await (module.createStage as StageFactory)(settings);
  } catch (error) {
    throw invalid(`\`createStage\` of ${file} failed: ${messageOf(error)}`);
  }
  for (const [name, type] of [
    ["accepts", "string"],
    ["emits", "string"],
    ["run", "function"],
  ] as const)
    if (typeof stage?.[name] !== type)
      throw invalid(`What \`createStage\` of ${file} returns has no \`${name}\`: expected a ${type}.`);
  return stage as Stage;
}

const invalid = (message: string): AssistantError =>
  new AssistantError("pipeline_invalid", message, { remedy: "docs/extending/stage.md shows what a module exports." });

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
