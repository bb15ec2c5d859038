import { expect, test } from "vitest";
import type { Device } from "../../../src/core/device.ts";
import { devicesThatFit } from "../../../src/daemon/device-fit.ts";
import type { EngineSet } from "../../../src/engines/index.ts";
import { testModel } from "../../support/fake-engine.ts";

const device = (id: string, vendor: Device["vendor"]): Device => ({
  id,
  vendor,
  name: id,
  memoryTotalBytes: 1,
  memoryFreeBytes: 1,
  utilizationPercent: null,
  temperatureCelsius: null,
  env: {},
});
const [cpu, cuda, intel] = [device("cpu", "cpu"), device("cuda:0", "nvidia"), device("intel:0", "intel")];
const engines = (backends: string[] | null) =>
  ({
    choose: async () => ({
      availability: async () => (backends === null ? { available: false } : { available: true, backends }),
    }),
  }) as unknown as EngineSet;
const model = testModel({ name: "river" });
const devicesOf = async (devices: Device[], backends: string[] | null, spec = model) => [
  ...(await devicesThatFit([spec], devices, engines(backends))),
];

test("a model goes to the CPU while its engine can use no GPU", async () => {
  expect(await devicesOf([cuda, cpu], ["cpu"])).toEqual([["river", ["cpu"]]]);
});

test("of several GPUs it gets those that its engine can use", async () => {
  expect(await devicesOf([cuda, intel, cpu], ["cpu", "cuda"])).toEqual([["river", ["cuda:0"]]]);
});

test("nothing is said where all GPUs will do, there are none, or the file names devices", async () => {
  expect(await devicesOf([cuda, cpu], ["cpu", "cuda"])).toEqual([]);
  expect(await devicesOf([cpu], ["cpu"])).toEqual([]);
  expect(await devicesOf([cuda, cpu], ["cpu"], testModel({ name: "river", devices: ["cuda:0"] }))).toEqual([]);
});

test("programs of the user's own, and engines that are missing, are left alone", async () => {
  expect(await devicesOf([cuda, cpu], [])).toEqual([]);
  expect(await devicesOf([cuda, cpu], null)).toEqual([]);
});
