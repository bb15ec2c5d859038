import type { NodeStatus } from "../api/nodes.ts";
import type { DaemonStatus } from "../api/status.ts";
import type { UsageReport } from "../api/usage.ts";
import type { InstanceState } from "../core/instance.ts";
import type { Counters, ModelCounters } from "./counters.ts";
import { type Histogram, SECONDS } from "./histogram.ts";

type Labels = Readonly<Record<string, string | number>>;

/** All samples of one name. */
export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  /** `suffix`: of a histogram's series. */
  readonly samples: readonly { readonly labels: Labels; readonly value: number; readonly suffix?: string }[];
}

export interface MetricSources {
  readonly status: DaemonStatus;
  readonly usage: UsageReport;
  readonly counters: Counters;
}

/** Every metric of the daemon itself, with its meaning. docs/monitoring.md lists them; a test compares. */
export function families({ status, usage, counters }: MetricSources): Family[] {
  return [...requestFamilies(counters), ...tenantFamilies(usage), ...modelFamilies(status), ...instanceFamilies(status, counters), ...machineFamilies(status)];
}

function requestFamilies({ endings, models, refusals }: Counters): Family[] {
  const durations = (name: string, help: string, of: (counters: ModelCounters) => Histogram): Family => ({
    name,
    help,
    type: "histogram",
    samples: [...models].flatMap(([model, one]) => histogramSamples({ model }, of(one))),
  });
  return [
    counter(
      "assistant_requests_total",
      "Requests that have ended.",
      [...endings.values()].map(({ count, ...labels }) => sample(labels, count)),
    ),
    counter(
      "assistant_refused_total",
      "Requests that the guards did not let in.",
      [...refusals].map(([code, count]) => sample({ code }, count)),
    ),
    counter(
      "assistant_tokens_total",
      "Tokens of prompts (cached ones among them), of prompts out of the cache, and of answers.",
      [...models].flatMap(([model, { prompt, cached, completion }]) => tokenSamples({ model }, prompt, cached, completion)),
    ),
    durations("assistant_queue_seconds", "Wait for a slot, of requests that got one.", ({ queue }) => queue),
    durations("assistant_first_token_seconds", "From a request to the first byte of its answer.", ({ firstToken }) => firstToken),
    durations("assistant_request_seconds", "From a request to its end.", ({ total }) => total),
  ];
}

function tenantFamilies({ usage }: UsageReport): Family[] {
  return [
    counter(
      "assistant_tenant_requests_total",
      "Requests of each API key, over restarts.",
      usage.map(({ tenant, model, requests }) => sample({ tenant, model }, requests)),
    ),
    counter(
      "assistant_tenant_tokens_total",
      "Tokens of each API key, over restarts.",
      usage.flatMap(({ tenant, model, promptTokens, cachedTokens, completionTokens }) =>
        tokenSamples({ tenant, model }, promptTokens, cachedTokens, completionTokens),
      ),
    ),
  ];
}

function modelFamilies({ models, instances }: DaemonStatus): Family[] {
  const inFlight = (name: string): number => instances.reduce((sum, instance) => sum + (instance.model === name ? instance.inFlight : 0), 0);
  return [
    gauge(
      "assistant_model_waiting",
      "Requests that wait for the model.",
      models.map(({ name, queued }) => sample({ model: name }, queued)),
    ),
    gauge(
      "assistant_model_in_flight",
      "Requests that instances of the model work on here.",
      models.map(({ name }) => sample({ model: name }, inFlight(name))),
    ),
    gauge(
      "assistant_model_instances",
      "Instances of the model that are ready.",
      models.map(({ name, instances: ready }) => sample({ model: name }, ready)),
    ),
    gauge(
      "assistant_model_unavailable",
      "1 while the model cannot be served.",
      models.map(({ name, error }) => sample({ model: name }, error === null ? 0 : 1)),
    ),
  ];
}

const STATES: readonly InstanceState[] = ["absent", "starting", "ready", "draining", "stopping", "failed"];

function instanceFamilies({ instances }: DaemonStatus, { starts, ends }: Counters): Family[] {
  const each = (name: string, help: string, value: (instance: DaemonStatus["instances"][number]) => number | null): Family =>
    gauge(
      name,
      help,
      instances.flatMap((instance) => known({ instance: instance.id, model: instance.model, device: instance.device }, value(instance))),
    );
  return [
    gauge(
      "assistant_instance_state",
      "1 for the state that the instance is in.",
      instances.flatMap(({ id, model, device, state }) => STATES.map((name) => sample({ instance: id, model, device, state: name }, state === name ? 1 : 0))),
    ),
    each("assistant_instance_in_flight", "Requests on the instance.", ({ inFlight }) => inFlight),
    each("assistant_instance_slots", "Requests that it works on at once.", ({ slots }) => slots),
    each("assistant_instance_load", "Work in flight divided by capacity.", ({ load }) => load),
    each("assistant_instance_decode_tokens_per_second", "Recent output of the whole instance.", ({ decodeTokensPerSecond }) => decodeTokensPerSecond),
    each("assistant_instance_prefill_tokens_per_second", "Recent rate of prompt tokens.", ({ prefillTokensPerSecond }) => prefillTokensPerSecond),
    each("assistant_instance_memory_bytes", "Memory on its device, as measured.", ({ memoryBytes }) => memoryBytes),
    each("assistant_instance_memory_estimate_bytes", "Memory it is reckoned to take there.", ({ estimatedMemoryBytes }) => estimatedMemoryBytes),
    counter(
      "assistant_instance_starts_total",
      "Starts of its engine.",
      [...starts].map(([instance, count]) => sample({ instance }, count)),
    ),
    counter(
      "assistant_instance_ends_total",
      "Ends of its engine, by cause: exit, signal and wedged are crashes.",
      [...ends].map(([key, count]) => sample({ instance: key.slice(0, key.lastIndexOf(" ")), cause: key.slice(key.lastIndexOf(" ") + 1) }, count)),
    ),
  ];
}

function machineFamilies({ version, devices, nodes = [] }: DaemonStatus): Family[] {
  const device = (name: string, help: string, value: (one: DaemonStatus["devices"][number]) => number | null): Family =>
    gauge(
      name,
      help,
      devices.flatMap((one) => known({ device: one.id, name: one.name }, value(one))),
    );
  const node = (name: string, help: string, value: (one: NodeStatus) => number): Family =>
    gauge(
      name,
      help,
      nodes.map((one) => sample({ node: one.name }, value(one))),
    );
  return [
    gauge("assistant_info", "1, with the version of the daemon.", [sample({ version }, 1)]),
    device("assistant_device_memory_total_bytes", "Memory of the device.", ({ memoryTotalBytes }) => memoryTotalBytes),
    device("assistant_device_memory_free_bytes", "Memory of the device that nobody uses.", ({ memoryFreeBytes }) => memoryFreeBytes),
    device("assistant_device_utilization_ratio", "How busy the device is, 0 to 1.", ({ utilizationPercent }) => ratio(utilizationPercent)),
    device("assistant_device_temperature_celsius", "Temperature of the device.", ({ temperatureCelsius }) => temperatureCelsius),
    node("assistant_node_up", "1 while the remote server can be used.", ({ state }) => (state === "up" ? 1 : 0)),
    node("assistant_node_in_flight", "Requests of ours that the remote server works on.", ({ inFlight }) => inFlight),
  ];
}

const ratio = (percent: number | null): number | null => (percent === null ? null : percent / 100);
const sample = (labels: Labels, value: number): Family["samples"][number] => ({ labels, value });
const known = (labels: Labels, value: number | null): Family["samples"] => (value === null ? [] : [sample(labels, value)]);
const counter = (name: string, help: string, samples: Family["samples"]): Family => ({ name, help, type: "counter", samples });
const gauge = (name: string, help: string, samples: Family["samples"]): Family => ({ name, help, type: "gauge", samples });

const tokenSamples = (labels: Labels, prompt: number, cached: number, completion: number): Family["samples"] => [
  sample({ ...labels, kind: "prompt" }, prompt),
  sample({ ...labels, kind: "cached" }, cached),
  sample({ ...labels, kind: "completion" }, completion),
];

/** A bucket's count holds those of all smaller ones. */
function histogramSamples(labels: Labels, { counts, sum, count }: Histogram): Family["samples"] {
  let below = 0;
  const buckets = counts.map((own, index) => {
    below += own;
    return { labels: { ...labels, le: SECONDS[index] ?? "+Inf" }, value: below, suffix: "_bucket" };
  });
  return [...buckets, { labels, value: sum, suffix: "_sum" }, { labels, value: count, suffix: "_count" }];
}
