/**
 * The fake engine behind llama-server's command line, so that a real daemon runs it. Engines inherit next to nothing of
 * an environment, so the knobs lie beside the weights: `MODEL.gguf.knobs.json` holds one set, or a list with one for
 * each launch (the last one holds for all further). Every launch adds a line to `MODEL.gguf.launches`. Where
 * `MODEL.gguf.gpu.json` names a folder and MiB, the process counts as using that much memory in the eyes of the fake
 * nvidia-smi.
 */
import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Knobs } from "../engine/knobs.ts";
import { helpText, readServerArguments } from "./arguments.ts";

const argv = process.argv.slice(2);
if (argv.includes("--help")) {
  console.log(helpText);
  process.exit(0);
}
if (argv.includes("--list-devices")) {
  console.log("Available devices:");
  process.exit(0);
}

const { socketPath, modelPath, slots, contextTokens } = readServerArguments(argv);
const launchFile = `${modelPath}.launches`;
const earlier = existsSync(launchFile) ? readFileSync(launchFile, "utf8").trimEnd().split("\n").length : 0;
appendFileSync(launchFile, `${JSON.stringify({ pid: process.pid, argv })}\n`);

if (existsSync(`${modelPath}.gpu.json`)) {
  const { folder, mib } = JSON.parse(readFileSync(`${modelPath}.gpu.json`, "utf8")) as { folder: string; mib: number };
  writeFileSync(join(folder, String(process.pid)), String(mib));
}

function knobsOfLaunch(): Partial<Knobs> {
  const file = `${modelPath}.knobs.json`;
  if (!existsSync(file)) return {};
  const given = JSON.parse(readFileSync(file, "utf8")) as Partial<Knobs> | readonly Partial<Knobs>[];
  return Array.isArray(given) ? (given[Math.min(earlier, given.length - 1)] ?? {}) : (given as Partial<Knobs>);
}

process.env["FAKE_ENGINE"] = JSON.stringify({ slots, contextTokens, ...knobsOfLaunch() });
process.argv = [process.argv[0] ?? "", process.argv[1] ?? "", "--socket", socketPath];
await import("../engine/main.ts");
