import { join } from "node:path";

/**
 * Where `assistant engine build` installs: one folder per version, and next to them the link `llama-server` to the
 * program in use.
 */
export const buildsFolder = (enginesDir: string): string => join(enginesDir, "llama-server");

/** The built llama-server that is used, whichever version that is. */
export const builtBinary = (enginesDir: string): string => join(buildsFolder(enginesDir), PROGRAM);

export const PROGRAM = "llama-server";
