import { setTimeout as sleep } from "node:timers/promises";
import client, { Counter, Gauge, Registry } from "prom-client";
import type { NodeStatus } from "../api/nodes.ts";
import type { ProviderStatus } from "../api/providers.ts";
import type { DaemonStatus } from "../api/status.ts";
import type { UsageReport } from "../api/usage.ts";
import type { ErrorCode } from "../core/errors.ts";
import type { FleetEvent } from "../core/fleet.ts";
import type { InstanceState } from "../core/instance.ts";
import type { FinishedRequest } from "../core/request.ts";
import { LabelledHistogram, type Series } from "./histogram.ts";
import { servedMetrics } from "./served-metrics.ts";
import { TaskMetrics } from "./task-metrics.ts";

/** Upper bounds in seconds: from an answer out of the cache to a long generation or a model's load. */
const DURATION_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];

/** How often the delay of the event loop is sampled, milliseconds. */
const EVENT_LOOP_SAMPLE_MS = 20;

const STATES: readonly InstanceState[] = ["absent", "starting", "ready", "draining", "stopping", "failed"];

type Labels = Readonly<Record<string, string>>;
/** One sample; null where the value is not known. */
type Sample = readonly [labels: Labels, value: number | null];

/**
 * The daemon's metrics. What happens is counted as it happens; what is so at the moment, such as a model's queue, is
 * taken from the status at each scrape. docs/monitoring.md lists them; a test compares.
 */
export class Metrics {
  readonly registry = new Registry();
  readonly #requests = this.#counter("assistant_requests_total", "Requests that have ended.", [
    "model",
    "instance",
    "route",
    "outcome",
    "code",
  ]);
  readonly #refused = this.#counter("assistant_refused_total", "Requests that the guards refused.", ["code"]);
  readonly #tokens = this.#counter(
    "assistant_tokens_total",
    "Tokens of prompts (cached ones included), of prompts read from the cache, and of answers.",
    ["model", "kind"],
  );
  readonly #characters = this.#counter("assistant_speech_characters_total", "Characters that were spoken.", ["model"]);
  readonly #audioSeconds = this.#counter(
    "assistant_audio_seconds_total",
    "Seconds of audio generated or transcribed.",
    ["model"],
  );
  readonly #queueSeconds = this.#histogram("assistant_queue_seconds", "Wait for a slot, for requests that got one.");
  readonly #firstTokenSeconds = this.#histogram(
    "assistant_first_token_seconds",
    "From a request to the first byte of its answer.",
  );
  readonly #requestSeconds = this.#histogram("assistant_request_seconds", "From a request to its end.");
  readonly #starts = this.#counter("assistant_instance_starts_total", "Starts of its engine.", ["instance"]);
  readonly #ends = this.#counter(
    "assistant_instance_ends_total",
    "Ends of its engine, by cause: exit, signal and wedged are crashes.",
    ["instance", "cause"],
  );
  readonly tasks = new TaskMetrics(this.registry);
  readonly #served = servedMetrics(this.registry, DURATION_BUCKETS);
  readonly #ofStatus = statusMetrics(this.registry);
  readonly #ofUsage = usageMetrics(this.registry);
  #ofProcess: Promise<Registry> | null = null;

  /** Counts requests that differ only in figures. */
  requests(alike: readonly [FinishedRequest, ...FinishedRequest[]]): void {
    this.#served(alike);
    const [{ route, end, code = "", ...fields }] = alike;
    const model = fields.model ?? "";
    this.#requests.inc({ model, instance: fields.instance ?? "", route, outcome: end, code }, alike.length);
    for (const kind of TOKEN_KINDS) this.#tokens.inc({ model, kind }, total(alike, `${kind}Tokens`));
    const labels = { model };
    for (const [counter, amount] of [
      [this.#characters, total(alike, "characters")],
      [this.#audioSeconds, total(alike, "audioSeconds")],
    ] as const)
      if (amount > 0) counter.inc(labels, amount);
    observe(this.#queueSeconds.of(labels), alike, "queueMs");
    observe(this.#firstTokenSeconds.of(labels), alike, "ttftMs");
    observe(this.#requestSeconds.of(labels), alike, "totalMs");
  }

  readonly refused = (code: ErrorCode): void => this.#refused.inc({ code });

  instance(event: FleetEvent): void {
    if (event.type !== "transition") return;
    const { id, state, lastDeath } = event.snapshot;
    if (state === "starting") this.#starts.inc({ instance: id });
    // An instance that has already failed only becomes absent when it is abandoned.
    else if ((state === "failed" || state === "absent") && event.from !== "failed" && lastDeath !== null)
      this.#ends.inc({ instance: id, cause: lastDeath.cause });
  }

  /** Everything in Prometheus' text format. */
  async text(status: DaemonStatus, usage: UsageReport): Promise<string> {
    this.#ofStatus(status);
    this.#ofUsage(usage);
    this.#ofProcess ??= processMetrics();
    return `${await this.registry.metrics()}\n${await (await this.#ofProcess).metrics()}`;
  }

  #counter<Name extends string>(name: string, help: string, labelNames: readonly Name[]): Counter<Name> {
    return new Counter({ name, help, labelNames, registers: [this.registry] });
  }

  #histogram(name: string, help: string): LabelledHistogram<"model"> {
    const registers = [this.registry];
    return new LabelledHistogram({ name, help, labelNames: ["model"], buckets: DURATION_BUCKETS, registers });
  }
}

type Figure = "promptTokens" | "cachedTokens" | "completionTokens" | "characters" | "audioSeconds";
const total = (requests: readonly FinishedRequest[], figure: Figure): number =>
  requests.reduce((sum, { [figure]: value }) => sum + (value ?? 0), 0);

function observe(
  series: Series,
  requests: readonly FinishedRequest[],
  milliseconds: "queueMs" | "ttftMs" | "totalMs",
): void {
  for (const { [milliseconds]: value } of requests) if (value !== null) series.observe(value / 1000);
}

const TOKEN_KINDS = ["prompt", "cached", "completion"] as const;

/**
 * Metrics of this process (`process_*`, `nodejs_*`), collected from the first scrape on: they wake an idle process
 * fifty times a second.
 */
async function processMetrics(): Promise<Registry> {
  const register = new Registry();
  client.collectDefaultMetrics({ register, eventLoopMonitoringPrecision: EVENT_LOOP_SAMPLE_MS });
  // Without a sample, delays read as NaN.
  await sleep(2 * EVENT_LOOP_SAMPLE_MS);
  return register;
}

/** Defines the metrics of usage; returns what sets them from a report. They are counters that outlive the process. */
function usageMetrics(registry: Registry): (report: UsageReport) => void {
  const registers = [registry];
  const requests = new Counter({
    name: "assistant_tenant_requests_total",
    help: "Requests of each API key, over restarts.",
    labelNames: ["tenant", "model"],
    registers,
  });
  const tokens = new Counter({
    name: "assistant_tenant_tokens_total",
    help: "Tokens of each API key, over restarts.",
    labelNames: ["tenant", "model", "kind"],
    registers,
  });
  return ({ usage }) => {
    requests.reset();
    tokens.reset();
    for (const row of usage) {
      const { tenant, model } = row;
      requests.inc({ tenant, model }, row.requests);
      for (const kind of TOKEN_KINDS) tokens.inc({ tenant, model, kind }, row[`${kind}Tokens`]);
    }
  };
}

type Instance = DaemonStatus["instances"][number];
type Device = DaemonStatus["devices"][number];

/** Defines the metrics of the status; returns what sets them from one. */
function statusMetrics(registry: Registry): (status: DaemonStatus) => void {
  const gauges: { readonly gauge: Gauge; readonly samples: (status: DaemonStatus) => readonly Sample[] }[] = [];
  const define = (
    name: string,
    help: string,
    labelNames: string[],
    samples: (status: DaemonStatus) => readonly Sample[],
  ): void => {
    gauges.push({ gauge: new Gauge({ name, help, labelNames, registers: [registry] }), samples });
  };
  const ofModels = (
    name: string,
    help: string,
    value: (model: DaemonStatus["models"][number], status: DaemonStatus) => number,
  ): void =>
    define(name, help, ["model"], (status) =>
      status.models.map((model) => [{ model: model.name }, value(model, status)]),
    );
  const ofInstances = (name: string, help: string, value: (instance: Instance) => number | null): void =>
    define(name, help, ["instance", "model", "device"], ({ instances }) =>
      instances.map((instance) => [
        { instance: instance.id, model: instance.model, device: instance.device },
        value(instance),
      ]),
    );
  const ofDevices = (name: string, help: string, value: (device: Device) => number | null): void =>
    define(name, help, ["device", "name"], ({ devices }) =>
      devices.map((device) => [{ device: device.id, name: device.name }, value(device)]),
    );
  const ofNodes = (name: string, help: string, value: (node: NodeStatus) => number): void =>
    define(name, help, ["node"], ({ nodes = [] }) => nodes.map((node) => [{ node: node.name }, value(node)]));

  const ofProviders = (name: string, help: string, value: (provider: ProviderStatus) => number): void =>
    define(name, help, ["provider"], ({ providers = [] }) =>
      providers.map((provider) => [{ provider: provider.name }, value(provider)]),
    );

  ofModels("assistant_model_waiting", "Requests that wait for the model.", ({ queued }) => queued);
  ofModels(
    "assistant_model_in_flight",
    "Running requests on local instances of the model.",
    ({ name }, { instances }) =>
      instances.reduce((sum, { model, inFlight }) => (model === name ? sum + inFlight : sum), 0),
  );
  ofModels("assistant_model_instances", "Instances of the model that are ready.", ({ instances }) => instances);
  ofModels("assistant_model_unavailable", "1 while the model cannot be served.", ({ error }) =>
    error === null ? 0 : 1,
  );

  define(
    "assistant_instance_state",
    "1 for the state that the instance is in.",
    ["instance", "model", "device", "state"],
    ({ instances }) =>
      instances.flatMap(({ id, model, device, state }) =>
        STATES.map((name): Sample => [{ instance: id, model, device, state: name }, state === name ? 1 : 0]),
      ),
  );
  ofInstances("assistant_instance_in_flight", "Requests on the instance.", ({ inFlight }) => inFlight);
  ofInstances("assistant_instance_slots", "Concurrent requests that it can process.", ({ slots }) => slots);
  ofInstances("assistant_instance_load", "Work in flight divided by capacity.", ({ load }) => load);
  ofInstances(
    "assistant_instance_decode_tokens_per_second",
    "Recent output of the whole instance.",
    ({ decodeTokensPerSecond }) => decodeTokensPerSecond,
  );
  ofInstances(
    "assistant_instance_prefill_tokens_per_second",
    "Recent rate of prompt tokens.",
    ({ prefillTokensPerSecond }) => prefillTokensPerSecond,
  );
  ofInstances(
    "assistant_instance_memory_bytes",
    "Memory on its device, as measured.",
    ({ memoryBytes }) => memoryBytes,
  );
  ofInstances(
    "assistant_instance_memory_estimate_bytes",
    "Estimate of its memory there.",
    ({ estimatedMemoryBytes }) => estimatedMemoryBytes,
  );

  define("assistant_info", "1, with the version of the daemon.", ["version"], ({ version }) => [[{ version }, 1]]);
  ofDevices("assistant_device_memory_total_bytes", "Memory of the device.", ({ memoryTotalBytes }) => memoryTotalBytes);
  ofDevices(
    "assistant_device_memory_free_bytes",
    "Free memory of the device.",
    ({ memoryFreeBytes }) => memoryFreeBytes,
  );
  ofDevices("assistant_device_utilization_ratio", "How busy the device is, 0 to 1.", ({ utilizationPercent }) =>
    utilizationPercent === null ? null : utilizationPercent / 100,
  );
  ofDevices(
    "assistant_device_temperature_celsius",
    "Temperature of the device.",
    ({ temperatureCelsius }) => temperatureCelsius,
  );
  ofNodes("assistant_node_up", "1 while the remote server can be used.", ({ state }) => (state === "up" ? 1 : 0));
  ofNodes(
    "assistant_node_in_flight",
    "Running requests on the remote server from this daemon.",
    ({ inFlight }) => inFlight,
  );
  ofProviders("assistant_provider_up", "1 while the provider can be used.", ({ state }) => (state === "up" ? 1 : 0));
  ofProviders("assistant_provider_in_flight", "Requests that the provider works on.", ({ inFlight }) => inFlight);

  return (status) => {
    for (const { gauge, samples } of gauges) {
      // What has gone must not keep its last value.
      gauge.reset();
      for (const [labels, value] of samples(status)) if (value !== null) gauge.set(labels, value);
    }
  };
}
