import { closeSync, openSync } from "node:fs";
import { spawnEngine } from "../../src/fleet/engine-process.ts";
import { runTool } from "../../src/fleet/run-tool.ts";
import { estimateApart } from "../../src/models/estimates.ts";
import type { FitSettings } from "../../src/models/fit.ts";

/** Starts programs while hardly any file descriptor is left, and prints what came of each. */
const open: number[] = [];
try {
  for (;;) open.push(openSync("/dev/null", "r"));
} catch {
  closeSync(open.pop() ?? -1);
}
const engine = spawnEngine({ command: "true", args: [], env: {} }, "/dev/null", {});
const results = [
  (await engine.exited).spawnError,
  (await runTool("true", [], process.env, 5_000)).outcome,
  await estimateApart("/dev/null", {} as FitSettings, process.execPath),
];
for (const descriptor of open) closeSync(descriptor);
console.log(JSON.stringify(results));
// A timer for the program that was not started is left.
process.exit();
