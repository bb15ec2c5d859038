import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import type { PipelineView } from "../api/pipelines.ts";
import { AssistantError } from "../core/errors.ts";
import { capabilitiesOfKind, type ModelSpec, type Operation } from "../core/model.ts";
import { nearestNames } from "../core/nearest.ts";
import type { PipelineSpec } from "../core/pipeline.ts";
import { type RemoteCandidate, type RemoteSource, servedElsewhere } from "../core/remote.ts";
import type { Upstream } from "../core/upstream.ts";
import { type AnsweredFrame, askPipeline, type PipelineAsk } from "./ask.ts";
import type { PipelineConversations } from "./memory.ts";
import type { ModelCallsOptions } from "./model-calls.ts";
import { askStages, type BuiltPipeline, buildPipeline, invalidPipeline, pipelineView } from "./pipeline.ts";
import type { ReadVariable } from "./secrets.ts";
import type { Source } from "./sources/source.ts";
import { openTrigger } from "./trigger.ts";
import { PipelineUpstream } from "./upstream.ts";

export interface PipelinesOptions extends Pick<ModelCallsOptions, "inference" | "decode"> {
  readonly variable: ReadVariable;
  readonly conversations: PipelineConversations;
  readonly log: {
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
  };
}

interface Running {
  readonly built: BuiltPipeline;
  readonly upstream: PipelineUpstream;
  /** Stands for the files of its modules as they were. */
  readonly stamp: string;
  /** Null: it has none, or it cannot be used. */
  source: Source | null;
}

/** Distinguishes candidates and instances. */
const PREFIX = "pipeline.";
/** How long requests that run may hold up the end of the daemon. */
const CLOSE_MS = 5_000;

/** The pipelines of the configuration. To the scheduler each is what another node is, with one model. */
export class Pipelines implements RemoteSource {
  readonly #options: PipelinesOptions;
  #running: ReadonlyMap<string, Running> = new Map();
  #configuring: Promise<void> = Promise.resolve();
  /** Pipelines of earlier configurations, as long as requests run in them. */
  readonly #retiring = new Set<Promise<void>>();
  /** Call when candidates or models have changed. */
  onChange: () => void = () => {};

  constructor(options: PipelinesOptions) {
    this.#options = options;
  }

  /**
   * Applies the pipelines of a configuration, at start and on reload. Unchanged ones are kept; running requests are not
   * ended.
   */
  configure(specs: readonly PipelineSpec[]): Promise<void> {
    const configured = this.#configuring.then(() => this.#configure(specs));
    this.#configuring = configured.catch(() => {});
    return configured;
  }

  candidates(): RemoteCandidate[] {
    return [...this.#running.values()].map(({ built: { spec, report } }) => ({
      name: PREFIX + spec.name,
      nodeId: hopOf(spec),
      weight: 1,
      up: report.valid,
      down: report.valid ? null : invalidPipeline(spec, report),
      maxInFlight: spec.maxConcurrency,
      models: new Map([[spec.name, { slots: spec.maxConcurrency, inFlight: 0, loaded: true }]]),
    }));
  }

  models(taken: ReadonlySet<string>): ModelSpec[] {
    return [...this.#running.values()].flatMap(({ built }) => (taken.has(built.spec.name) ? [] : [modelOf(built)]));
  }

  upstream(name: string): Upstream | null {
    return name.startsWith(PREFIX) ? (this.#running.get(name.slice(PREFIX.length))?.upstream ?? null) : null;
  }

  list(): PipelineView[] {
    return [...this.#running.values()].map(({ built }) => pipelineView(built));
  }

  /** Of a name; null: the one marked `default`. Throws `pipeline_not_found`. */
  find(name: string | null): BuiltPipeline {
    const all = [...this.#running.values()].map(({ built }) => built);
    const found = all.find(({ spec }) => (name === null ? spec.isDefault : spec.name === name));
    if (found !== undefined) return found;
    if (name === null)
      throw new AssistantError("pipeline_not_found", "No pipeline is marked `default = true`.", {
        remedy: "Set it in the file of the pipeline to serve here.",
      });
    const names = all.map(({ spec }) => spec.name);
    const near = nearestNames(name, names);
    throw new AssistantError("pipeline_not_found", `No pipeline is called ${JSON.stringify(name.slice(0, 100))}.`, {
      remedy: near.length > 0 ? `Did you mean ${near.join(" or ")}?` : "`assistant pipeline list` shows them.",
    });
  }

  /** Has a pipeline answer a request of code in this process, on behalf of a caller. */
  ask(ask: PipelineAsk): Promise<readonly AnsweredFrame[]> {
    return askPipeline(this.#options.inference, ask);
  }

  /** What is wrong with pipelines, one sentence each. */
  get problems(): string[] {
    return [...this.#running.values()].flatMap(({ built: { spec, report } }) =>
      report.valid
        ? []
        : [`The pipeline "${spec.name}" cannot be used; \`assistant pipeline check ${spec.name}\` says why.`],
    );
  }

  async close(): Promise<void> {
    await this.configure([]);
    await Promise.race([Promise.all(this.#retiring), sleep(CLOSE_MS, undefined, { ref: false })]);
  }

  async #configure(specs: readonly PipelineSpec[]): Promise<void> {
    const before = this.#running;
    const { inference, decode, variable, conversations, log } = this.#options;
    const made = await Promise.all(
      specs.map(async (spec): Promise<Running> => {
        const known = before.get(spec.name);
        const stamp = await stampOf(spec);
        const isSame = known?.stamp === stamp && isDeepStrictEqual(known.built.spec, spec);
        // What a module failed of may have been mended elsewhere.
        if (known !== undefined && isSame && (known.built.report.valid || stamp === "")) return known;
        const built = await buildPipeline(spec, variable);
        const { name, queueLength } = spec;
        const { stages, report } = built;
        if (report.valid) log.info({ pipeline: name }, report.text);
        else log.warn({ pipeline: name }, report.text);
        const upstream = new PipelineUpstream({
          ...{ name, stages, queueLength, inference, decode, conversations, hop: hopOf(spec) },
        });
        // Preparation of stages is not awaited: earlier requests wait by themselves.
        if (report.valid)
          askStages(built, "startup").catch((error: Error) =>
            log.warn({ pipeline: name, error: error.message }, "startup"),
          );
        return { built, upstream, stamp, source: null };
      }),
    );
    const next = new Map(made.map((running) => [running.built.spec.name, running]));
    this.#running = next;
    this.onChange();
    for (const [name, running] of before) if (next.get(name) !== running) await this.#retire(running);
    for (const running of next.values()) await this.#open(running);
  }

  /** Messages are taken only once the pipeline is known to the scheduler. */
  async #open(running: Running): Promise<void> {
    const { spec, report } = running.built;
    if (spec.source === null || !report.valid || running.source !== null) return;
    try {
      running.source = await openTrigger(spec, spec.source, this.#options);
    } catch (error) {
      this.#options.log.warn({ pipeline: spec.name, error: (error as Error).message }, "its source cannot be opened");
    }
  }

  /** Takes no more messages; its stages are closed when the requests that run in them have ended. */
  async #retire({ built, source, upstream }: Running): Promise<void> {
    const closing = (error: Error): void =>
      this.#options.log.warn({ pipeline: built.spec.name, error: error.message }, "it could not be closed");
    await source?.close().catch(closing);
    if (!built.report.valid) return;
    const retired = upstream
      .idle()
      .then(() => askStages(built, "close"))
      .catch(closing)
      .finally(() => this.#retiring.delete(retired));
    this.#retiring.add(retired);
  }
}

/** In hop lists, whose ids are short and plain. */
const hopOf = ({ name }: PipelineSpec): string =>
  `pipeline-${createHash("sha256").update(name).digest("hex").slice(0, 16)}`;

const stampOf = async ({ stages }: PipelineSpec): Promise<string> => {
  const files = stages.flatMap(({ use }) => (use.includes("/") ? [use] : []));
  return (await Promise.all(files.map((file) => stat(file).catch(() => null)))).map((found) => found?.mtimeMs).join();
};

function modelOf({ spec, stages }: BuiltPipeline): ModelSpec {
  const speaks = stages.some(({ emits }) => emits === "audio");
  const operations: Operation[] = speaks ? ["chat", "speech", "infer"] : ["chat", "infer"];
  return {
    ...servedElsewhere({
      name: spec.name,
      aliases: [],
      kind: "chat",
      source: { type: "pipeline", file: spec.file },
      contextTokens: 0,
      slots: spec.maxConcurrency,
      nodes: [PREFIX + spec.name],
      fingerprint: `pipeline ${JSON.stringify(spec)}`,
    }),
    operations,
    capabilities: { ...capabilitiesOfKind("chat", operations), pipeline: true },
  };
}
