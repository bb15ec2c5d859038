import { readFile, writeFile } from "node:fs/promises";
import { generatedParts, pipelineParts, withGeneratedParts } from "./docs.ts";

// Updates the generated parts of two pages; with --check it only reports whether they are stale.
const pages = { "docs/configuration.md": generatedParts(), "docs/pipelines.md": pipelineParts() };
for (const [name, parts] of Object.entries(pages)) {
  const page = new URL(`../../${name}`, import.meta.url);
  const before = await readFile(page, "utf8");
  const after = withGeneratedParts(before, parts);
  if (before === after) console.log(`${name} is up to date.`);
  else if (process.argv.includes("--check")) {
    console.error(`${name} is stale; run \`node src/config/generate-docs.ts\`.`);
    process.exitCode = 1;
  } else {
    await writeFile(page, after);
    console.log(`${name} was written.`);
  }
}
