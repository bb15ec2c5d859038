import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/core/clock.ts";
import type { Engine } from "../../src/core/engine.ts";
import type { FleetEvent, StartOrder } from "../../src/core/fleet.ts";
import type { InstanceSnapshot } from "../../src/core/instance.ts";
import { createEngineProbe } from "../../src/engines/surface.ts";
import { Fleet } from "../../src/fleet/fleet.ts";
import type { FleetOptions, FleetSettings } from "../../src/fleet/ports.ts";
import { testDevice, testModel } from "./fake-engine.ts";
import { documentsIn } from "./store.ts";

export interface TestFleet extends AsyncDisposable {
  readonly fleet: Fleet;
  readonly dir: string;
  readonly events: FleetEvent[];
  readonly warnings: string[];
  /** Every transition of an instance so far, `absent>starting` and so on. */
  steps(id?: string): string[];
  snapshot(id?: string): InstanceSnapshot;
}

/** Short enough for tests, long enough for a busy machine where they bound something that must not happen. */
export const quickSettings: Partial<FleetSettings> = {
  startTimeoutMs: 30_000,
  stopGraceMs: 10_000,
  killWaitMs: 10_000,
  wedgeAfterMs: 400,
  pollMs: 40,
  lookTimeoutMs: 150,
  suspectTokenMs: 200,
};

/** A fleet of real processes under a directory of its own. */
export async function startFleet(
  engine: Engine,
  settings: Partial<FleetSettings> = {},
  options: Partial<FleetOptions> = {},
): Promise<TestFleet> {
  const dir = await mkdtemp(join(tmpdir(), "fleet-"));
  const events: FleetEvent[] = [];
  const warnings: string[] = [];
  const fleet = new Fleet({
    engineFor: async () => engine,
    resolveWeights: async () => "/nowhere/fake.gguf",
    probe: createEngineProbe(),
    clock: systemClock,
    random: () => 0.5,
    documents: documentsIn(dir),
    runDir: dir,
    logDir: join(dir, "logs"),
    log: {
      info: () => {},
      warn: (_facts, message) => warnings.push(message),
      error: (facts, message) => warnings.push(`${message} ${JSON.stringify(facts)}`),
    },
    settings: { ...quickSettings, ...settings },
    baseEnv: { PATH: process.env["PATH"] ?? "" },
    onEvent: (event) => events.push(event),
    ...options,
  });
  return {
    fleet,
    dir,
    events,
    warnings,
    steps: (id = order().instanceId) =>
      events.flatMap((event) =>
        event.type === "transition" && event.snapshot.id === id ? [`${event.from}>${event.snapshot.state}`] : [],
      ),
    snapshot(id = order().instanceId) {
      const found = fleet.snapshots().find((snapshot) => snapshot.id === id);
      if (!found) throw new Error(`no instance ${id}`);
      return found;
    },
    async [Symbol.asyncDispose]() {
      await fleet.close(0);
      await rm(dir, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}

export const order = (changes: Partial<StartOrder> = {}): StartOrder => ({
  instanceId: "fake@cpu",
  model: testModel(),
  device: testDevice(),
  threads: 1,
  ...changes,
});
