#!/usr/bin/env node
// Has to parse on Node 18, so that an old Node gets a sentence and not a syntax error.
import { existsSync, readFileSync } from "node:fs";
import module from "node:module";
import { fileURLToPath } from "node:url";

const root = new URL("../", import.meta.url);
const main = new URL("dist/commands/support/cli/main.js", root);
const argv = process.argv.slice(2);

function fail(sentence, remedy) {
  process.stderr.write(`Error: ${sentence}\n${remedy}\n`);
  process.exitCode = 1;
}

if (argv.length === 1 && ["--version", "-v", "-V"].includes(argv[0])) {
  process.stdout.write(`assistant ${JSON.parse(readFileSync(new URL("package.json", root), "utf8")).version}\n`);
} else if (Number(process.versions.node.split(".")[0]) < 24) {
  fail(
    `Assistant needs Node.js 24 or newer, and this is ${process.version}.`,
    "Run ./install.sh: it brings a Node.js 24 along and leaves yours as it is.",
  );
} else if (!existsSync(main)) {
  fail(
    `Assistant is not built: there is no ${fileURLToPath(main)}.`,
    "Run ./install.sh (or `npm run build` in a checkout).",
  );
} else {
  // Inside the installation and not in the shared /tmp, where somebody else could plant code.
  module.enableCompileCache(fileURLToPath(new URL("dist/.compile-cache", root)));
  await (await import(main.href)).main(argv, root);
}
