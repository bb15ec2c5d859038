import type { SchedulerSettings } from "../../src/core/config.ts";
import type { Device } from "../../src/core/device.ts";
import type { InstanceSnapshot, InstanceState } from "../../src/core/instance.ts";
import type { ModelSpec } from "../../src/core/model.ts";
import { testModel, testSnapshot } from "../../test/support/fake-engine.ts";
import type { EngineProfile } from "./engine.ts";

const contextOf = ({ contextTokens = 131_072 }: EngineProfile): number => contextTokens;

/** The configuration of a simulated machine, in the real one's types. */
export function modelSpec(name: string, profile: EngineProfile, replicas: number, preload: boolean): ModelSpec {
  const { slots, batchTokens } = profile;
  const load = {
    contextTokens: contextOf(profile),
    slots,
    batchTokens,
    microBatchTokens: Math.min(512, batchTokens),
    threads: 1,
    gpuLayers: 99,
  };
  return testModel({ name, engine: "auto", replicas, preload, fingerprint: name }, load);
}

export const gpu = (index: number): Device => ({
  id: `cuda:${index}`,
  vendor: "nvidia",
  name: "GPU",
  memoryTotalBytes: 80 * 2 ** 30,
  memoryFreeBytes: 80 * 2 ** 30,
  utilizationPercent: null,
  temperatureCelsius: null,
  env: {},
});

export function settingsOf(maxInstances: number, changes: Partial<SchedulerSettings>): SchedulerSettings {
  return {
    maxInstances,
    maxLoad: 0.8,
    maxQueuedPerModel: 1_000_000,
    maxQueuedPerTenant: 1_000_000,
    threadBudget: maxInstances,
    startTimeoutMs: 600_000,
    wedgeAfterMs: 60_000,
    drainTimeoutMs: 30_000,
    maxSwapWaitMs: 30_000,
    maxWaitMs: 60_000,
    policy: "expected-time",
    tenantWeights: new Map(),
    ...changes,
  };
}

export function snapshot(
  id: string,
  model: string,
  device: string,
  state: InstanceState,
  profile: EngineProfile,
): InstanceSnapshot {
  return testSnapshot({ id, model, device, state, slots: profile.slots, contextTokens: contextOf(profile) });
}
