import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

export type AgentState = "uninitialized" | "trying" | "registered" | "failed";
const AGENT_STATES: readonly AgentState[] = ["uninitialized", "trying", "registered", "failed"];
const LAYOUT_STATES = ["idle", "busy"] as const;

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 30, 40, 50, 60];
const steps = (from: number, to: number, step: number): number[] =>
  Array.from({ length: (to - from) / step + 1 }, (_, index) => from + index * step);
const CHARACTERS = [...steps(10, 90, 10), ...steps(100, 1900, 100)];

/** What `GET /metrics` shows, under the names that dashboards of this framework know. */
export class WorkerMetrics {
  readonly #registry = new Registry();
  readonly attempts = this.#counter("agc_attempts_total", "Attempts to register.");
  readonly received = this.#counter("api_received_requests_total", "Requests that came.");
  readonly accepted = this.#counter("api_accepted_requests_total", "Requests that were worked on.");
  readonly rejected = this.#counter("api_rejected_requests_total", "Requests that were refused.");
  readonly failed = this.#counter("layout_failed_total", "Requests that failed while they were worked on.");
  readonly #agentState = this.#enum("agc_state", "State of the registration.", AGENT_STATES);
  readonly #layoutState = this.#enum("layout_state", "Whether a request is worked on.", LAYOUT_STATES);
  readonly #registration = this.#info("agc_registration_info", "What was registered.", ["llm_name", "public_endpoint"]);
  readonly #layout = this.#info("layout_config_info", "The layout.", ["default_layout", "main_class"]);
  readonly #version = this.#info("framework_version_info", "Version of the SDK.", ["version"]);
  readonly #seconds = this.#histogram("layout_process_time_seconds", "Time for a request.", SECONDS);
  /** Under the first name, which is misspelt, and the right one. */
  readonly #lengths = ["charters", "characters"].map((unit) =>
    this.#histogram(`layout_output_length_${unit}`, "Length of an answer.", CHARACTERS),
  );
  readonly #throughputs = ["charters", "characters"].map((unit) =>
    this.#histogram(`layout_output_throughput_${unit}_per_second`, "Speed of an answer.", CHARACTERS),
  );

  constructor(facts: {
    readonly version: string;
    readonly layout: { readonly isDefault: boolean; readonly mainClass: string };
  }) {
    const { version, layout } = facts;
    this.#version.set({ version }, 1);
    this.#layout.set({ default_layout: layout.isDefault ? "True" : "False", main_class: layout.mainClass }, 1);
    this.agentState("uninitialized");
    this.busy(false);
    collectDefaultMetrics({ register: this.#registry });
  }

  agentState(state: AgentState): void {
    for (const one of AGENT_STATES) this.#agentState.set({ agc_state: one }, Number(one === state));
  }
  busy(isBusy: boolean): void {
    for (const one of LAYOUT_STATES) this.#layoutState.set({ layout_state: one }, Number((one === "busy") === isBusy));
  }
  registering(name: string, endpoint: string): void {
    this.#registration.set({ llm_name: name, public_endpoint: endpoint }, 1);
  }
  processed(seconds: number, characters: number): void {
    this.#seconds.observe(seconds);
    for (const length of this.#lengths) length.observe(characters);
    for (const throughput of this.#throughputs) throughput.observe(characters / Math.max(seconds, 1e-6));
  }

  get contentType(): string {
    return this.#registry.contentType;
  }
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  #counter(name: string, help: string): Counter {
    return new Counter({ name, help, registers: [this.#registry] });
  }
  #enum<T extends string>(name: string, help: string, _states: readonly T[]): Gauge {
    return new Gauge({ name, help, labelNames: [name], registers: [this.#registry] });
  }
  #info(name: string, help: string, labelNames: readonly string[]): Gauge {
    return new Gauge({ name, help, labelNames: [...labelNames], registers: [this.#registry] });
  }
  #histogram(name: string, help: string, buckets: readonly number[]): Histogram {
    return new Histogram({ name, help, buckets: [...buckets], registers: [this.#registry] });
  }
}
