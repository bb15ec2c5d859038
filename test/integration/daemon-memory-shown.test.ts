import { afterEach, expect, test } from "vitest";
import type { ShownModel } from "../../commands/support/models/shown.ts";
import type { DaemonStatus } from "../../src/api/status.ts";
import { eventually } from "../support/assistant.ts";
import { type GpuInstallation, installOnGpu } from "../support/fake-gpu.ts";
import { ask } from "../support/fake-installation.ts";

let gpu: GpuInstallation;
afterEach(() => gpu[Symbol.asyncDispose]());

test("ps and show tell both what an instance was estimated to take and what it was measured to take", async () => {
  gpu = await installOnGpu({ models: { river: { slots: 4, contextTokens: 8192 } }, usesMib: 19_000 });
  const url = await gpu.serve();
  expect((await ask(url, "river", "hello")).status).toBe(200);
  const { estimatedMemoryBytes: estimate } = await eventually("it was measured", async () =>
    (await gpu.state()).instances.find(
      ({ memoryBytes, estimatedMemoryBytes }) => memoryBytes !== null && estimatedMemoryBytes !== null,
    ),
  );
  const estimated = ((estimate ?? 0) / 1e9).toFixed(1);

  const table = (await gpu.run(["ps"])).stdout;
  expect(table).toMatch(/ MEMORY +ESTIMATE /);
  expect(table).toMatch(new RegExp(`^river@cuda:0 .* 19\\.9 GB +${estimated} GB `, "m"));
  const listed = JSON.parse((await gpu.run(["ps", "--json"])).stdout) as DaemonStatus;
  expect(listed.instances[0]).toMatchObject({ memoryBytes: 19_000 * 2 ** 20, estimatedMemoryBytes: estimate });

  const shown = await gpu.run(["show", "river"]);
  expect(shown.stdout).toMatch(
    /^memory +about [\d.]+ GB, [\d.]+ GB of it on the GPU: weights .*, cache 17\.2 GB \(4 × 8192 tokens\), work /m,
  );
  expect(shown.stdout).toMatch(/^measured +19\.9 GB, estimated [\d.]+ GB \(river@cuda:0\)$/m);
  const json = JSON.parse((await gpu.run(["show", "river", "--json"])).stdout) as ShownModel;
  expect(json.instances).toEqual([
    { id: "river@cuda:0", memoryBytes: 19_000 * 2 ** 20, estimatedMemoryBytes: estimate },
  ]);
  // What `show` estimates by itself is what the daemon uses.
  expect(json.memory?.total.gpuBytes).toBe(estimate);
});
