import { existsSync } from "node:fs";
import path from "node:path";
import { AssistantError } from "../core/errors.ts";
import { packageRoot } from "../core/package.ts";

/** A file or folder in `templates`, which is next to package.json. */
export function templatePath(name: string): string {
  const file = path.join(packageRoot, "templates", name);
  if (existsSync(file)) return file;
  throw new AssistantError("internal", `The template ${name} is missing from this installation.`, {
    remedy: "Install Assistant again.",
  });
}
