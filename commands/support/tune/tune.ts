import { toAssistantError } from "../../../src/core/errors.ts";
import { type ModelKind, modelKinds } from "../../../src/core/model.ts";
import { createEngineProbe } from "../../../src/engines/index.ts";
import { withTrialEngine } from "../../../src/fleet/trial.ts";
import { estimateMemory } from "../../../src/models/fit.ts";
import { formatBytes } from "../../../src/models/format.ts";
import type { CommandContext } from "../cli/context.ts";
import { axesFor, type Bounds, smallestBatch } from "./axes.ts";
import { clearDevice, intruders } from "./neighbours.ts";
import { failure, judge, type Measured, type Objective, type Rates, type Result } from "./score.ts";
import { beats, coordinateSearch, type Trial } from "./search.ts";
import {
  changesBetween,
  loadWith,
  type SettingChange,
  settingsKey,
  startSettings,
  type TuneSettings,
  threadShare,
} from "./settings.ts";
import { findTarget, type Target } from "./target.ts";
import { measureOnce, planWorkload, type Workload, warmUp } from "./workload.ts";

export interface TuneRequest {
  readonly context: CommandContext;
  readonly model: string;
  /** Other models that are to run at the same time; those on the same CPU leave it only a part of the threads. */
  readonly beside?: readonly string[];
  readonly objective: Objective;
  /** Milliseconds for everything that is measured. */
  readonly budgetMs: number;
  /** Requests at once in the measurement; null: 4 on a CPU, 16 on a GPU. */
  readonly streams: number | null;
  /** Stop the daemon's instances on the device. */
  readonly stop: boolean;
  readonly signal: AbortSignal;
  /** Told what is tried and what came out. */
  readonly onProgress: (progress: TuneProgress) => void;
}

export interface TuneProgress {
  /** Trials that are done. */
  readonly done: number;
  /** What is measured now, and which setting is varied ("start", "confirm" or the axis). */
  readonly trying: TuneSettings;
  readonly axis: string;
  /** The best so far as a multiple of the settings that the model has; null before these were measured. */
  readonly gain: number | null;
}

/** One row of the table. */
export interface TriedSettings extends TuneSettings {
  readonly axis: string;
  readonly result: Result;
}

export interface TuneReport {
  readonly model: string;
  readonly engine: string;
  readonly device: string;
  /** Models that share the device's threads, this one among them. */
  readonly sideBySide: number;
  readonly objective: Objective;
  readonly budgetMs: number;
  readonly elapsedMs: number;
  readonly workload: Workload;
  /** In the order in which they were tried; the first are the settings that the model has. */
  readonly tried: readonly TriedSettings[];
  readonly best: TuneSettings;
  /** Score of the best as a multiple of that of the model's settings. */
  readonly gain: number;
  /** False where the time was over before everything was tried. */
  readonly complete: boolean;
  /** What is to be changed in the model's file; empty where its settings are the best. */
  readonly changes: readonly SettingChange[];
  /** The model's file, and the section of it. */
  readonly file: string;
  readonly section: ModelKind;
  /** What makes the figures less sure, one sentence each. */
  readonly doubts: readonly string[];
}

const RUNS = 2;
const STREAMS = { cpu: 4, gpu: 16 };
// Of the budget: with two runs a trial there is time for about ten.
const RUN_SHARE = 1 / 24;
const SLOWEST = 3;
const SLOWEST_EXTRA_MS = 10_000;
// What a trial must be better by, at the end, than what the model has.
const GAIN = 0.03;
const MEMORY_SHARE = 0.9;

/**
 * Finds the settings with which one instance of the model performs best: alone on its device, with all its threads or
 * with its share next to other models. Writes nothing.
 */
export async function tune(request: TuneRequest): Promise<TuneReport> {
  const target = await findTarget(request.model, request.context);
  await clearDevice(target.device, request.context, {
    stop: request.stop,
    waitMs: target.config.scheduler.drainTimeoutMs + 10_000,
  });
  const sideBySide = 1 + (await countBeside(target, request));
  const trials = new Trials(request, target, sideBySide);
  const start = await trials.start();
  const { best: found, complete } = await coordinateSearch({
    start,
    axes: axesFor(trials.bounds, start.result),
    key: settingsKey,
    evaluate: (settings, axis, best) => trials.evaluate(settings, axis, best.result),
  });
  const best = await trials.confirm(start, found);
  const disturbing = await intruders(target.device, request.context);
  return {
    model: target.model.name,
    engine: target.engine.id,
    device: target.device.id,
    sideBySide,
    objective: request.objective,
    budgetMs: request.budgetMs,
    elapsedMs: trials.elapsedMs,
    workload: trials.workload,
    tried: trials.tried,
    best: best.settings,
    gain: gainOf(start.result, best.result) ?? 1,
    complete,
    // A share that is written holds whichever of the models starts first.
    changes: changesBetween(
      sideBySide > 1 ? { ...start.settings, threads: target.model.load.threads } : start.settings,
      best.settings,
    ),
    file: target.model.file,
    section: target.model.kind,
    doubts:
      disturbing.length === 0
        ? []
        : [
            `The daemon started ${disturbing.join(", ")} on ${target.device.id} in the meantime: tune again when it is not in use.`,
          ],
  };
}

/** The other models that are to run on the same device. */
async function countBeside({ device, model }: Target, { beside = [], context }: TuneRequest): Promise<number> {
  if (device.vendor !== "cpu") return 0;
  const others = await Promise.all(beside.map((name) => findTarget(name, context)));
  return others.filter((other) => other.device.id === device.id && other.model.name !== model.name).length;
}

const gainOf = (start: Result, now: Result): number | null =>
  start.kind === "measured" && now.kind === "measured" ? now.score / start.score : null;

/** Measures within the budget, and remembers everything that it measured. */
class Trials {
  readonly tried: TriedSettings[] = [];
  readonly bounds: Bounds;
  workload: Workload = { kind: "chat", promptTokens: 0, answerTokens: 0, streams: 0 };
  readonly #request: TuneRequest;
  readonly #target: Target;
  readonly #startedAt = performance.now();
  /** What the first trial took, from the start of its engine to the end. */
  #usualMs = 0;
  #runs = new Map<string, Rates[]>();
  #startSettings: TuneSettings;
  #startScore: Result | null = null;

  constructor(request: TuneRequest, target: Target, sideBySide: number) {
    const { model, device, config, hardware, engine } = target;
    this.#request = request;
    this.#target = target;
    const share = threadShare(device, config.scheduler.threadBudget, sideBySide);
    this.#startSettings = startSettings(model, device, share);
    this.bounds = {
      generates: modelKinds[model.kind].generates,
      hasMicroBatches: engine.traits.hasMicroBatches,
      device,
      objective: request.objective,
      mostThreads: Math.max(this.#startSettings.threads, Math.min(hardware.cpu.physicalCores, share)),
      contextTokens: model.load.contextTokens,
      streams: request.streams ?? (device.vendor === "cpu" ? STREAMS.cpu : STREAMS.gpu),
    };
  }

  get elapsedMs(): number {
    return performance.now() - this.#startedAt;
  }

  /** Measures what the model has, and sizes the workload by it. Settings that do not even start are an error. */
  async start(): Promise<Trial<TuneSettings, Measured>> {
    const settings = this.#startSettings;
    this.#tell(settings, "start", null);
    const { contextTokens, objective, streams } = this.bounds;
    const { kind } = this.#target.model;
    const startedAt = performance.now();
    await this.#withEngine(settings, this.#request.signal, async (socketPath, signal) => {
      const seen = await warmUp(socketPath, kind, contextTokens, signal);
      const order = {
        kind,
        contextTokens,
        streams: objective === "latency" ? 0 : streams,
        runMs: this.#request.budgetMs * RUN_SHARE,
      };
      this.workload = planWorkload(order, seen);
      await this.#measure(settings, socketPath, signal);
    });
    this.#usualMs = performance.now() - startedAt;
    const result = this.#judged(settings);
    this.#startScore = result;
    this.tried.push({ ...settings, axis: "start", result });
    return { settings, result };
  }

  /** Null where the time left is needed for the last comparison. */
  async evaluate(settings: TuneSettings, axis: string, best: Result): Promise<Result | null> {
    if (this.#leftMs() < 3 * this.#usualMs) return null;
    this.#tell(settings, axis, best);
    const result = (await this.#tooLarge(settings)) ?? (await this.#tryOne(settings));
    this.tried.push({ ...settings, axis, result });
    return result;
  }

  /**
   * Measures the winner and the current settings again, alternately: the best of many noisy figures may just have been
   * lucky. Settings that do not win again, by the medians of all runs, replace nothing.
   */
  async confirm(
    start: Trial<TuneSettings, Measured>,
    found: Trial<TuneSettings, Result>,
  ): Promise<Trial<TuneSettings, Result>> {
    const sure = found.settings === start.settings || found.result.tier !== start.result.tier;
    if (sure || this.#leftMs() < this.#usualMs) return found;
    const again: Result[] = [];
    for (const settings of [start.settings, found.settings]) {
      this.#tell(settings, "confirm", found.result);
      const result = await this.#tryOne(settings);
      this.tried.push({ ...settings, axis: "confirm", result });
      again.push(result);
    }
    const [before = start.result, now = found.result] = again;
    if (before.kind === "measured") this.#startScore = before;
    return beats(now, before, GAIN) ? { settings: found.settings, result: now } : start;
  }

  async #tryOne(settings: TuneSettings): Promise<Result> {
    // What is so much slower need not be known more exactly.
    const limitMs = SLOWEST * this.#usualMs + SLOWEST_EXTRA_MS;
    const limit = AbortSignal.timeout(Math.round(limitMs));
    try {
      await this.#withEngine(settings, AbortSignal.any([this.#request.signal, limit]), async (socketPath, signal) => {
        await warmUp(socketPath, this.#target.model.kind, this.bounds.contextTokens, signal);
        await this.#measure(settings, socketPath, signal);
      });
      return this.#judged(settings);
    } catch (error) {
      this.#request.signal.throwIfAborted();
      if (limit.aborted) return failure(`gave no result in ${Math.round(limitMs / 1000)} s`);
      return failure(toAssistantError(error).message);
    }
  }

  #withEngine(
    settings: TuneSettings,
    signal: AbortSignal,
    use: (socketPath: string, signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    const { engine, model, modelPath, device } = this.#target;
    const { env } = this.#request.context;
    const trial = { engine, modelPath, device, threads: settings.threads, probe: createEngineProbe(), env };
    return withTrialEngine({ ...trial, model: { ...model, load: loadWith(model.load, settings) } }, signal, use);
  }

  async #measure(settings: TuneSettings, socketPath: string, signal: AbortSignal): Promise<void> {
    const key = settingsKey(settings);
    for (let run = 0; run < RUNS; run++) {
      const rates = await measureOnce(socketPath, this.workload, signal);
      this.#runs.set(key, [...(this.#runs.get(key) ?? []), rates]);
    }
  }

  #judged(settings: TuneSettings): Measured {
    return judge(
      this.#runs.get(settingsKey(settings)) ?? [],
      this.bounds.objective,
      settings.batchTokens,
      settings.batchTokens <= smallestBatch(this.bounds),
    );
  }

  /** A reason, where the device has not the memory for it. */
  async #tooLarge(settings: TuneSettings): Promise<Result | null> {
    const { model, modelPath, device } = this.#target;
    const grown =
      settings.slots > this.#startSettings.slots || settings.microBatchTokens > this.#startSettings.microBatchTokens;
    if (!grown) return null;
    const gpuLayers = device.vendor === "cpu" ? 0 : model.load.gpuLayers;
    const { total } = await estimateMemory(modelPath, { ...model.load, ...settings, gpuLayers, kind: model.kind });
    const needed = device.vendor === "cpu" ? total.hostBytes : total.gpuBytes;
    const room = device.memoryFreeBytes * MEMORY_SHARE;
    return needed <= room ? null : failure(`needs ${formatBytes(needed)} of memory, ${formatBytes(room)} are free`);
  }

  #leftMs(): number {
    return this.#request.budgetMs - this.elapsedMs;
  }

  #tell(trying: TuneSettings, axis: string, best: Result | null): void {
    const gain = this.#startScore === null || best === null ? null : gainOf(this.#startScore, best);
    this.#request.onProgress({ done: this.tried.length, trying, axis, gain });
  }
}
