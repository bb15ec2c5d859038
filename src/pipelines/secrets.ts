import { AssistantError } from "../core/errors.ts";

/** Reads an environment variable of the daemon; undefined where it is not set. */
export type ReadVariable = (name: string) => string | undefined;

/** A secret that a stage needs. Throws `pipeline_invalid` where its variable is not set. */
export function secretOf(read: ReadVariable, name: string, key: string): string {
  const value = read(name);
  if (value !== undefined && value !== "") return value;
  throw new AssistantError("pipeline_invalid", `The environment variable ${name} (\`${key}\`) is not set.`, {
    param: key,
    remedy: "Set it in the daemon's environment, and restart the daemon.",
  });
}

/** The address of a service, which holds a password in an environment variable. */
export const addressOf = (
  { url, url_env: variable }: { readonly url?: string; readonly url_env?: string },
  read: ReadVariable,
  usual: string,
): string => (variable === undefined ? (url ?? usual) : secretOf(read, variable, "url_env"));
