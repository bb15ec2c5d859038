import { constants, setPriority } from "node:os";
import { text } from "node:stream/consumers";
import { keepCompiledCode } from "../core/package.ts";
import type { EstimateAnswer, EstimateJob } from "./estimates.ts";

/**
 * A separate process for estimates: they load a library that would stay in the daemon's memory forever. Jobs arrive as
 * JSON on standard input, results are written as JSON to standard output; an unreadable file has none.
 */
keepCompiledCode();
if (process.argv[2] === "background") setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
const jobs = JSON.parse(await text(process.stdin)) as EstimateJob[];
const answers: EstimateAnswer[] = [];
const { estimateMemory } = await import("./fit.ts");
for (const { key, file, settings } of jobs) {
  const estimate = await estimateMemory(file, settings).catch(() => null);
  answers.push({ key, estimate });
}
process.stdout.write(JSON.stringify(answers));
