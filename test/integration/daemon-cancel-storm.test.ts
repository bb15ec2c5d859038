import { afterEach, expect, test } from "vitest";
import { eventually } from "../support/assistant.ts";
import { cancelStorm, workUnderWay } from "../support/cancel-storm.ts";
import { ask, type FakeInstallation, installFakes } from "../support/fake-installation.ts";
import { descriptorsOf } from "../support/processes.ts";
import { seededRandom } from "../support/random.ts";

let assistant: FakeInstallation;
afterEach(() => assistant[Symbol.asyncDispose]());

const models = ["river", "brook"];

test.each([
  ["our own build, which notices departed clients", true],
  ["a stock build, which is driven", false],
])(
  "after two thousand requests that were left at random moments nothing is held any more: %s",
  async (_engine, patched) => {
    const knobs = {
      decodeDelayMs: 4,
      prefillTokensPerSecond: 2_000,
      noticesDisconnects: patched,
      noticesWhenWriting: !patched,
    };
    assistant = await installFakes({
      models: { river: { knobs, slots: 4 }, brook: { knobs: { ...knobs, startDelayMs: 300 }, slots: 4 } },
      patched,
    });
    const url = await assistant.serve();
    // One model is up and the other has to be loaded in the storm.
    await ask(url, "river", "wake up");
    const { pid } = await assistant.state();
    const before = await descriptorsOf(pid);
    const storm = await cancelStorm(Number(new URL(url).port), {
      requests: 2_000,
      clients: 64,
      models,
      random: seededRandom(7),
    });
    expect(storm.failures).toEqual({});
    expect(storm.answered).toBe(storm.departures.stays);
    expect(Math.min(...Object.values(storm.departures))).toBeGreaterThan(400);
    await eventually("nothing is under way", async () => {
      const work = await workUnderWay(assistant, models);
      return work.queued + work.inFlight + work.onEngines === 0;
    });
    // The second engine's own line and this test's question, and nothing for any of the two thousand.
    await eventually("descriptors are given back", async () => (await descriptorsOf(pid)).length <= before.length + 2);
    // Every slot can be had again.
    const answers = await Promise.all(
      models.flatMap((model) => Array.from({ length: 8 }, () => ask(url, model, "hello"))),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array(16).fill(200));
    const { instances } = await assistant.state();
    expect(instances.map(({ lastDeath }) => lastDeath)).toEqual([null, null]);
  },
);
