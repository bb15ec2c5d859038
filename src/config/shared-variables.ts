import { type Environment, variable } from "./environment.ts";
import { type Findings, noFile } from "./findings.ts";
import type { SchemaNode } from "./schema/kit.ts";
import { valueProblem } from "./validate.ts";

/** Words for levels that other programs' variables have. */
const LEVELS: Readonly<Record<string, string>> = { trace: "debug", warning: "warn", critical: "error", fatal: "error" };

export const levelOf = (written: string): string => LEVELS[written.toLowerCase()] ?? written.toLowerCase();

/**
 * The value of a variable that is not specific to Assistant. It applies if the file has no value, and may be meant for
 * another program: an invalid value has no effect except for a warning. Null: there is none.
 */
export function sharedVariable<T>(
  name: string,
  { env, node, convert }: { readonly env: Environment; readonly node: SchemaNode; convert(written: string): T },
  findings: Findings,
): T | null {
  const written = variable(env, name);
  if (written === null) return null;
  const value = convert(written);
  const problem = valueProblem(node, value);
  if (problem === null) return value;
  findings.warning({ source: noFile(name), path: [] }, `${problem}; it has no effect`);
  return null;
}
