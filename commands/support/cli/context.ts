import { type Environment, readEnvironment, variable } from "../../../src/config/environment.ts";
import { resolvePaths } from "../../../src/config/paths.ts";
import type { Paths } from "../../../src/core/config.ts";

/** The installation that a command line talks to. */
export interface CommandContext {
  readonly env: Environment;
  readonly paths: Paths;
  /** `ASSISTANT_DEBUG` is set: errors come with their stack. */
  readonly debug: boolean;
}

/** Reads the environment once. `configFile` is the `--config` flag, or null. */
export function loadContext(flags: { readonly configFile: string | null }): CommandContext {
  const env = readEnvironment();
  return {
    env,
    paths: resolvePaths(env, flags.configFile === null ? {} : { configFile: flags.configFile }),
    debug: variable(env, "ASSISTANT_DEBUG") !== null,
  };
}
