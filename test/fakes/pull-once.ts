import { type PullProgress, pull } from "../../src/models/pull.ts";
import { modelStoreIn } from "../support/store.ts";

/**
 * One pull in a process of its own: `pull-once.ts REFERENCE WEIGHTS_DIR`. Prints the result, and the phases it went
 * through.
 */
const [reference = "", weightsDir = ""] = process.argv.slice(2);
const phases = new Set<PullProgress["phase"]>();
const pulled = await pull(reference, {
  store: modelStoreIn(weightsDir),
  env: process.env,
  allowPrivate: true,
  onProgress: ({ phase }) => void phases.add(phase),
});
process.stdout.write(JSON.stringify({ ...pulled, phases: [...phases] }));
