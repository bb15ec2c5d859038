import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../support/assistant.ts";
import { type GpuInstallation, installOnGpu } from "../support/fake-gpu.ts";
import { ask, fake, open } from "../support/fake-installation.ts";

const USES_MIB = 19_000;
/** Leaves 31,559 MiB: room for one model of about 19 GiB, not for two. */
const OTHERS_MIB = 50_000;
const model = { slots: 4, contextTokens: 8192 };

let gpu: GpuInstallation;
const end = async (): Promise<void> => await gpu[Symbol.asyncDispose]();

const start = async (models: Parameters<typeof installOnGpu>[0]["models"]): Promise<string> => {
  gpu = await installOnGpu({ models, usesMib: USES_MIB });
  await gpu.others(OTHERS_MIB);
  return await gpu.serve();
};

const living = async (): Promise<string[]> =>
  (await gpu.state()).instances.filter(({ state }) => state !== "absent").map(({ model: name }) => name);

describe("of two models that do not fit together", () => {
  let url: string;
  beforeAll(async () => {
    url = await start({ river: model, mountain: model });
  });
  afterAll(end);

  test("the idle one is evicted for the other, whatever max_instances allows", async () => {
    for (const name of ["river", "mountain", "river"]) {
      expect((await ask(url, name, "hello")).status).toBe(200);
      expect(await living()).toEqual([name]);
    }
    expect([await gpu.launches("river"), await gpu.launches("mountain")]).toEqual([2, 1]);
  });

  test("a busy instance keeps its memory; who waits is served when it has ended", async () => {
    await ask(url, "river", "hello");
    const busy = await open(url, "river", fake({ tokens: 60, decodeDelayMs: 20 }), { stream: true });
    const waiting = ask(url, "mountain", "hello");
    await eventually("the request waits", async () => (await gpu.state()).queued === 1);
    expect(await living()).toEqual(["river"]);
    expect(await busy.text()).toContain("[DONE]");
    expect((await waiting).status).toBe(200);
    expect(await living()).toEqual(["mountain"]);
  });

  test("the next model starts when the driver has given the memory back, not when the process has ended", async () => {
    await ask(url, "river", "hello");
    await gpu.linger(true);
    const launches = await gpu.launches("mountain");
    const waiting = ask(url, "mountain", "hello");
    await eventually("the victim has ended", async () => (await gpu.livingEngines()).length === 0);
    const before = await gpu.readings();
    await eventually("the GPU is looked at again and again", async () => (await gpu.readings()) >= before + 4);
    expect(await gpu.launches("mountain")).toBe(launches);
    await gpu.linger(false);
    expect((await waiting).status).toBe(200);
  });

  test("status tells what an instance was estimated to take and what the driver says that it takes", async () => {
    await ask(url, "river", "hello");
    const instance = await eventually("it was measured and estimated", async () =>
      (await gpu.state()).instances.find(
        ({ model: name, memoryBytes, estimatedMemoryBytes }) =>
          name === "river" && memoryBytes !== null && estimatedMemoryBytes !== null,
      ),
    );
    expect(instance.memoryBytes).toBe(USES_MIB * 2 ** 20);
    expect(instance.estimatedMemoryBytes).toBeGreaterThan(17 * 2 ** 30);
    expect(instance.estimatedMemoryBytes).toBeLessThan(20 * 2 ** 30);
  });

  test("both stay where other programs leave room for two", async () => {
    await gpu.others(10_000);
    await eventually("the daemon looks at the GPU again", async () => {
      for (const name of ["river", "mountain"]) expect((await ask(url, name, "hello")).status).toBe(200);
      return (await living()).length === 2;
    });
  });
});

describe("with models of its own", () => {
  afterEach(end);

  test("a pinned instance keeps its memory; who has no room is refused with what is needed and what is left", async () => {
    const url = await start({ river: { ...model, toml: "pin = true" }, mountain: model });
    await ask(url, "river", "hello");
    const refused = await ask(url, "mountain", "hello");
    expect(refused.status).toBe(503);
    expect(refused.headers.get("retry-after")).toMatch(/^\d+$/);
    const { error } = JSON.parse(refused.text) as { error: { code: string; message: string } };
    expect(error.code).toBe("no_capacity");
    expect(error.message).toMatch(
      /needs about (?:19|20)\.\d GB of memory, and pinned models leave 7\.\d GB of the 85\.5 GB \(5\.3 GB of it reserved\) on cuda:0/,
    );
    expect(await living()).toEqual(["river"]);
  });

  test("a model that is larger than the GPU is refused with both figures, and one that other programs leave no room for too", async () => {
    const url = await start({ river: model, huge: { slots: 32, contextTokens: 8192 } });
    await ask(url, "river", "hello");
    expect((await ask(url, "huge", "hello")).text).toMatch(
      /needs about 1\d\d\.\d GB of memory; its largest device has 85\.5 GB/,
    );
    await gpu.stop();
    await gpu.others(75_000);
    const again = await gpu.serve();
    expect((await ask(again, "river", "hello")).text).toMatch(
      /needs about (?:19|20)\.\d GB of memory, and other programs leave 1\.5 GB of the 85\.5 GB \(5\.3 GB of it reserved\) on cuda:0/,
    );
  });
});
