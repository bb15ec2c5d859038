import { existsSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { AssistantError } from "../core/errors.ts";

/** A file or folder of `templates`, which is beside package.json; the compiled sources are one directory deeper than the originals. */
export function templatePath(name: string): string {
  const here = path.dirname(fileURLToPath(import.meta.url));
  for (const up of ["../..", "../../.."]) {
    const file = path.join(here, up, "templates", name);
    if (existsSync(file)) return file;
  }
  throw new AssistantError("internal", `The template ${name} is missing from this installation.`, {
    remedy: "Install Assistant again.",
  });
}
