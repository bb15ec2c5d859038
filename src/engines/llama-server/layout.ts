import { join } from "node:path";

/**
 * Where `assistant engine build` puts its results: one folder for each version, and beside them the link `llama-server`
 * to the program that is used.
 */
export const buildsFolder = (enginesDir: string): string => join(enginesDir, "llama-server");

/** The built llama-server that is used, whichever version that is. */
export const builtBinary = (enginesDir: string): string => join(buildsFolder(enginesDir), PROGRAM);

export const PROGRAM = "llama-server";
