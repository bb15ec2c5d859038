import { dirname } from "node:path";
import type { WorkerPool } from "../core/config.ts";
import { at } from "./draft.ts";
import type { Environment } from "./environment.ts";
import type { Findings, Place } from "./findings.ts";
import { pathIn } from "./paths.ts";
import type { MainFile } from "./schema/main.ts";

const [DEFAULT_MIN, DEFAULT_MAX, DEFAULT_SLOTS, DEFAULT_IDLE_S, DEFAULT_START_S] = [0, 1, 1, 300, 60];

/** The `[[worker_pools]]` entries; mistakes are reported. */
export function workerPoolsOf(
  { worker_pools: pools = [] }: MainFile,
  findings: Findings,
  root: Place,
  env: Environment,
): readonly WorkerPool[] {
  return pools.map((entry, index): WorkerPool => {
    const place = at(root, "worker_pools", index);
    const { name, command = [], capabilities = [], min = DEFAULT_MIN, max = DEFAULT_MAX } = entry;
    if (pools.findIndex((other) => other.name === name) !== index)
      findings.mistake(at(place, "name"), `two entries are called ${JSON.stringify(name)}; rename one`);
    if (command.length === 0) findings.mistake(at(place, "command"), "expected a program, found an empty list");
    else if (!command.some((word) => word.includes("{port}")))
      findings.mistake(
        at(place, "command"),
        "expected an argument with {port}, the port that the program is to listen on",
      );
    if (capabilities.length === 0 || capabilities.some((each) => Object.keys(each).length === 0))
      findings.mistake(at(place, "capabilities"), 'expected at least one, such as `[{ type = "echo" }]`');
    if (min > max) findings.mistake(at(place, "min"), `expected at most max, which is ${max}; found ${min}`);
    const written = entry.working_dir ?? "";
    return {
      name,
      command,
      capabilities,
      workingDir: written === "" ? dirname(root.source.file) : pathIn(root.source.file, written, env),
      min,
      max,
      slots: entry.slots ?? DEFAULT_SLOTS,
      idleMs: (entry.idle_s ?? DEFAULT_IDLE_S) * 1000,
      startTimeoutMs: (entry.start_timeout_s ?? DEFAULT_START_S) * 1000,
    };
  });
}
