import { readFile } from "node:fs/promises";
import { AssistantError } from "../../../src/core/errors.ts";

/** The JSON object in the file that a flag names. Throws `usage`. */
export async function jsonFile(flag: string, file: string): Promise<object> {
  let found: string;
  try {
    const value: unknown = JSON.parse(await readFile(file, "utf8"));
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
    found = "another JSON value";
  } catch (error) {
    found = (error as Error).message;
  }
  throw new AssistantError("usage", `${flag}: expected a file with a JSON object, ${file}; found: ${found}.`, {
    param: flag.replace(/^--/, ""),
  });
}
