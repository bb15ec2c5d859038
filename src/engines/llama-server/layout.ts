import { join } from "node:path";

/** Where `assistant engine build` puts its result; with `stock`, the one without our patches. */
export const builtBinary = (enginesDir: string, stock = false): string =>
  join(enginesDir, stock ? "llama-server-stock" : "llama-server", "llama-server");
