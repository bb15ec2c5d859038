import { stat } from "node:fs/promises";
import type { Environment } from "../config/environment.ts";
import type { Config } from "../core/config.ts";
import type { Device } from "../core/device.ts";
import type { Documents } from "../core/documents.ts";
import { DEFAULT_ENGINE, traitsOf } from "../core/engine.ts";
import type { InstanceSnapshot } from "../core/instance.ts";
import { type EngineId, type ModelSpec, modelKinds } from "../core/model.ts";
import { oneAtATime } from "../core/one-at-a-time.ts";
import { refreshDevices } from "../fleet/hardware.ts";
import { type InstanceUse, measureUse, sharesHostMemory } from "../fleet/usage.ts";
import { companionBytes } from "../models/companions.ts";
import { type EstimateJob, Estimates, estimateJob } from "../models/estimates.ts";
import type { MemoryEstimate } from "../models/fit.ts";
import { locateWeights } from "../models/resolve.ts";
import { listedOnce, type ModelStore } from "../models/store.ts";
import type { MemoryNeed } from "../scheduler/events.ts";
import type { Logger } from "../telemetry/log.ts";

/** Fresh figures. */
export interface Measured {
  /** With the memory that is free on each. */
  readonly devices: readonly Device[];
  /** What each instance uses, by id. */
  readonly use: ReadonlyMap<string, InstanceUse>;
}

/** Of a voice's bytes, as measured while it speaks. */
const VOICE_COPIES = 2;

const ALL_LAYERS = 999;

export interface MemoryPorts {
  readonly env: Environment;
  readonly documents: Documents;
  readonly store: ModelStore;
  readonly log: Logger;
  devices(): readonly Device[];
  instances(): readonly InstanceSnapshot[];
  /** The engine that would run the model here; rejects if there is none. */
  engineOf(model: ModelSpec): Promise<EngineId>;
  onMeasured(measured: Measured): void;
  /** Estimates have come in; `needs` and `pending` say more than before. */
  onEstimated(): void;
}

interface ModelEstimate {
  readonly fingerprint: string;
  /** Null where the file cannot be read as a model. */
  readonly need: { readonly cpuBytes: number; readonly gpuBytes: number } | null;
  /** Prompt tokens that one instance keeps, in its slots and in host memory; null where that is not known. */
  readonly cacheTokens: number | null;
}

/** What models will need, and what instances use now. */
export class Memory {
  readonly #ports: MemoryPorts;
  readonly #estimates: Estimates;
  readonly #byModel = new Map<string, ModelEstimate>();
  #pending: ReadonlySet<string> = new Set();
  #use: ReadonlyMap<string, InstanceUse> = new Map();
  #round = 0;
  #closed = false;

  constructor(ports: MemoryPorts) {
    this.#ports = ports;
    this.#estimates = new Estimates(ports.documents, process.execPath);
  }

  /** For the scheduler: bytes of one instance, by model. */
  get needs(): ReadonlyMap<string, MemoryNeed> {
    return new Map([...this.#byModel].flatMap(([name, { need }]) => (need === null ? [] : [[name, need] as const])));
  }

  /** For the scheduler: prompt tokens that one instance keeps, by model. */
  get cacheTokens(): ReadonlyMap<string, number> {
    return new Map(
      [...this.#byModel].flatMap(([name, { cacheTokens }]) =>
        cacheTokens === null ? [] : [[name, cacheTokens] as const],
      ),
    );
  }

  /** Models whose estimate is being made. */
  get pending(): ReadonlySet<string> {
    return this.#pending;
  }

  /** Whether the model has been estimated, or is being. Not if its weights were missing. */
  knows(model: string): boolean {
    return this.#byModel.has(model) || this.#pending.has(model);
  }

  /** Estimated bytes of one instance of the model on the device; null where that is not known. */
  estimateFor(model: string, device: string): number | null {
    const need = this.#byModel.get(model)?.need ?? null;
    if (need === null) return null;
    return device === "cpu" ? need.cpuBytes : need.gpuBytes;
  }

  /** Bytes that an instance takes on its device as last measured; null where that is not known. */
  measured({ id, device, memoryBytes }: InstanceSnapshot): number | null {
    return sharesHostMemory(device) ? memoryBytes : (this.#use.get(id)?.bytes ?? null);
  }

  /** Measures devices and instances, and reports. Never rejects. */
  readonly measure = oneAtATime(() => this.#measure());

  /**
   * Takes the models of a configuration over. What is known of them from earlier comes within milliseconds, the rest is
   * estimated after that.
   */
  take(config: Pick<Config, "models">): void {
    const round = ++this.#round;
    const current = new Map(config.models.map((model) => [model.name, model.fingerprint]));
    for (const [name, { fingerprint }] of this.#byModel)
      if (current.get(name) !== fingerprint) this.#byModel.delete(name);
    // Of what another machine runs nothing is needed here.
    this.#pending = new Set(
      config.models
        .filter(({ nodes }) => nodes === undefined)
        .map((model) => model.name)
        .filter((name) => !this.#byModel.has(name)),
    );
    void this.#learn(config, round).catch((error: unknown) => {
      if (this.#closed) return;
      this.#ports.log.warn({ err: error }, "could not estimate the memory of models; assuming they fit");
      if (round === this.#round) this.#settle(new Set());
    });
  }

  /** Ends the process that makes estimates: it would keep the daemon's for as long. */
  close(): void {
    this.#closed = true;
    this.#estimates.close();
  }

  async #learn(config: Pick<Config, "models">, round: number): Promise<void> {
    for (const { name, fingerprint, command } of config.models) {
      if (command === undefined) continue;
      // The memory of such a program cannot be estimated.
      const bytes = command.memoryMib === null ? null : command.memoryMib * 2 ** 20;
      const need = bytes === null ? null : { cpuBytes: bytes, gpuBytes: bytes };
      this.#byModel.set(name, { fingerprint, need, cacheTokens: null });
    }
    const store = listedOnce(this.#ports.store);
    const voices = config.models.filter(({ engine }) => engine === "speech");
    await Promise.all(voices.map((model) => this.#learnVoice(model, store, round)));
    const estimated = config.models.filter((model) => model.command === undefined && !voices.includes(model));
    const jobs = await Promise.all(estimated.map((model) => this.#jobsOf(model, store)));
    const all = jobs.filter((job) => job !== null);
    const known = await this.#estimates.recall(all.flatMap((job) => job.jobs));
    if (round !== this.#round) return;
    const missing = all.filter((job) => !this.#store(job, known));
    this.#settle(new Set(missing.map(({ model }) => model.name)));
    if (missing.length === 0) return;
    const found = await this.#estimates.of(missing.flatMap((job) => job.jobs));
    if (round !== this.#round) return;
    for (const job of missing) this.#store(job, found);
    this.#settle(new Set());
  }

  /** A voice is held whole, twice while it computes. */
  async #learnVoice({ name, fingerprint, source, kind }: ModelSpec, store: ModelStore, round: number): Promise<void> {
    const file = source.type === "opaque" ? null : await locateWeights(source, store).catch(() => "");
    const found = file === null ? { size: 0 } : await stat(file).catch(() => null);
    if (found === null || round !== this.#round) return;
    const bytes = (traitsOf("speech").programBytes[kind] ?? 0) + VOICE_COPIES * found.size;
    this.#byModel.set(name, { fingerprint, need: { cpuBytes: bytes, gpuBytes: bytes }, cacheTokens: null });
  }

  #settle(pending: ReadonlySet<string>): void {
    this.#pending = pending;
    this.#ports.onEstimated();
  }

  /** Returns whether all its figures are there. */
  #store(
    { model, engine, jobs: [cpu, gpu, ...draft], companionBytes: more }: ModelJobs,
    found: Awaited<ReturnType<Estimates["recall"]>>,
  ): boolean {
    const onCpu = found.get(cpu.key);
    const onGpu = found.get(gpu.key);
    const [draftOnCpu, draftOnGpu] = draft.map(({ key }) => found.get(key));
    if (onCpu === undefined || onGpu === undefined || draft.some(({ key }) => !found.has(key))) return false;
    const apple = this.#ports.devices().some((device) => device.vendor === "apple");
    const gpuBytes = (onGpu?.total.gpuBytes ?? 0) + (apple ? (onGpu?.total.hostBytes ?? 0) : 0);
    const need =
      onCpu && onGpu
        ? {
            cpuBytes: onCpu.total.hostBytes + more + draftBytes(draftOnCpu),
            gpuBytes: gpuBytes + more + draftBytes(draftOnGpu),
          }
        : null;
    const cacheTokens = onCpu ? keptTokens(model, engine, onCpu.cache.hostBytes) : null;
    this.#byModel.set(model.name, { fingerprint: model.fingerprint, need, cacheTokens });
    return true;
  }

  /** Null where the weights are not here, or cannot be read: nothing can be estimated then, and nothing started. */
  async #jobsOf(model: ModelSpec, store: ModelStore): Promise<ModelJobs | null> {
    // Not their headers: those of many models at once would take gigabytes.
    const file = await locateWeights(model.source, store).catch(() => null);
    if (file === null) return null;
    const { contextTokens, slots, microBatchTokens, gpuLayers, cacheTypeK, cacheTypeV, llama } = model.load;
    const engine = await this.#ports.engineOf(model).catch(() => DEFAULT_ENGINE);
    const settings = { contextTokens, slots, microBatchTokens, cacheTypeK, cacheTypeV, kind: model.kind, engine };
    const { cpuMoeLayers, speculation } = llama;
    const draft = speculation?.draft ?? null;
    const hasGpu = this.#ports.devices().some((device) => device.vendor !== "cpu");
    try {
      const [cpu, gpu, more] = await Promise.all([
        estimateJob(file, { ...settings, gpuLayers: 0 }),
        estimateJob(file, { ...settings, gpuLayers: hasGpu ? gpuLayers : 0, cpuMoeLayers }),
        companionBytes(model.load),
      ]);
      if (draft === null || speculation === null) return { model, engine, jobs: [cpu, gpu], companionBytes: more };
      const draftFile = await locateWeights(draft, store);
      const draftLayers = hasGpu && !speculation.draftOnCpu ? (speculation.draftGpuLayers ?? -1) : 0;
      const onDevice = { ...settings, cacheTypeK: "f16", cacheTypeV: "f16" };
      const jobs = await Promise.all([
        estimateJob(draftFile, { ...onDevice, gpuLayers: 0 }),
        estimateJob(draftFile, { ...onDevice, gpuLayers: draftLayers < 0 ? ALL_LAYERS : draftLayers }),
      ]);
      return { model, engine, jobs: [cpu, gpu, ...jobs], companionBytes: more };
    } catch {
      return null;
    }
  }

  async #measure(): Promise<void> {
    const { env } = this.#ports;
    const before = this.#ports.devices();
    try {
      const [devices, use] = await Promise.all([refreshDevices(before, env), measureUse(this.#ports.instances(), env)]);
      this.#use = use;
      this.#ports.onMeasured({ devices, use });
    } catch (error) {
      this.#ports.log.error({ err: error }, "the devices could not be measured");
      // Waiting models must not wait forever.
      this.#ports.onMeasured({ devices: before, use: this.#use });
    }
  }
}

/** Tokens in the slots and in the engine's host-memory cache, where it has one: both hold the same bytes for each. */
function keptTokens({ load, kind }: ModelSpec, engine: EngineId, slotBytes: number): number | null {
  const inSlots = load.slots * load.contextTokens;
  if (!modelKinds[kind].generates || slotBytes <= 0) return null;
  const inHost = traitsOf(engine).hasHostCache ? (load.hostCacheMib * 2 ** 20) / (slotBytes / inSlots) : 0;
  return Math.floor(inSlots + inHost);
}

interface ModelJobs {
  readonly model: ModelSpec;
  readonly engine: EngineId;
  /** Two more where a draft model is loaded too: the same for that. */
  readonly jobs: readonly [cpu: EstimateJob, gpu: EstimateJob, ...draft: EstimateJob[]];
  /** Projector and adapters, which are loaded whole. */
  readonly companionBytes: number;
}

/** What a draft model takes on the device of its model: weights, cache and buffers, and no second program. */
const draftBytes = (estimate: MemoryEstimate | null | undefined): number => {
  if (!estimate) return 0;
  const { weights, cache, compute } = estimate;
  const onGpu = weights.gpuBytes + cache.gpuBytes + compute.gpuBytes;
  return onGpu > 0 ? onGpu : weights.hostBytes + cache.hostBytes;
};
