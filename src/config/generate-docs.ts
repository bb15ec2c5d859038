import { readFile, writeFile } from "node:fs/promises";
import { withGeneratedParts } from "./docs.ts";

// Makes the generated parts of docs/configuration.md anew; with --check it only says whether they are stale.
const page = new URL("../../docs/configuration.md", import.meta.url);
const before = await readFile(page, "utf8");
const after = withGeneratedParts(before);
if (before === after) console.log("docs/configuration.md is up to date.");
else if (process.argv.includes("--check")) {
  console.error("docs/configuration.md is stale; run `node src/config/generate-docs.ts`.");
  process.exitCode = 1;
} else {
  await writeFile(page, after);
  console.log("docs/configuration.md was written.");
}
