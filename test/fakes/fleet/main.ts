/**
 * A parent that runs a fleet of fake engines, for tests that kill it: `main.ts DIR KNOBS-JSON INSTANCE-ID…`. Prints one
 * line of JSON per ready instance.
 */
import { systemClock } from "../../../src/core/clock.ts";
import { createEngineProbe } from "../../../src/engines/surface.ts";
import { Fleet } from "../../../src/fleet/fleet.ts";
import { fakeEngine, testDevice, testModel } from "../../support/fake-engine.ts";
import { documentsIn } from "../../support/store.ts";

const [dir = "", knobs = "{}", ...ids] = process.argv.slice(2);
const quiet = { info: () => {}, warn: () => {}, error: () => {} };
const fleet = new Fleet({
  engineFor: async () => fakeEngine(JSON.parse(knobs) as object),
  resolveWeights: async () => "/nowhere/fake.gguf",
  probe: createEngineProbe(),
  clock: systemClock,
  random: Math.random,
  documents: documentsIn(dir),
  runDir: dir,
  logDir: dir,
  log: quiet,
  baseEnv: { PATH: process.env["PATH"] ?? "" },
  onEvent: ({ snapshot }) => {
    if (snapshot.state === "ready")
      console.log(JSON.stringify({ id: snapshot.id, pid: snapshot.pid, socketPath: snapshot.endpoint }));
  },
});
for (const instanceId of ids) fleet.start({ instanceId, model: testModel(), device: testDevice(), threads: 1 });
// The fleet's timers do not keep a process alive.
setInterval(() => {}, 60_000);
