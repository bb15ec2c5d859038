/** Values of environment variables; an argument everywhere else, so that tests need not touch the process's own. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Variables that Assistant reads, for docs/configuration.md. `key` is the configuration key that the variable
 * overrides, if any.
 */
export const environmentVariables = [
  { name: "ASSISTANT_CONFIG", key: null, about: "Path of the configuration file. `--config` takes precedence." },
  {
    name: "ASSISTANT_DATA_DIR",
    key: null,
    about: "Directory of pulled weights, built engines and logs. One daemon runs per data directory.",
  },
  {
    name: "ASSISTANT_SYSTEM",
    key: null,
    about:
      "`1`: use the directories of the system service (`/etc/assistant`, `/var/lib/assistant`, " +
      "`/var/log/assistant`, `/run/assistant`).",
  },
  {
    name: "ASSISTANT_API_KEY",
    key: "server.api_key_sha256",
    about:
      "An API key, in plain text, accepted in addition to those of the file. It is hashed when read and never stored.",
  },
  { name: "ASSISTANT_HTTP_ADDR", key: "server.http_addr", about: "Address of the OpenAI-compatible API." },
  { name: "ASSISTANT_GRPC_ADDR", key: "server.grpc_addr", about: "Address of the gRPC service." },
  {
    name: "ASSISTANT_CLUSTER_URL",
    key: "cluster.url",
    about: "URL of the cluster's Redis or Valkey, which keeps its password out of the file.",
  },
  {
    name: "ASSISTANT_CLUSTER_API_KEY",
    key: "cluster.api_key",
    about: "API key that the machines of the cluster use for each other.",
  },
  { name: "ASSISTANT_LOG_LEVEL", key: "log.level", about: "Log level of the daemon." },
  { name: "ASSISTANT_LLAMA_SERVER", key: "engine.llama_server_path", about: "Path of a llama-server binary." },
  {
    name: "LOG_LEVEL",
    key: "log.level",
    about: "The same if the file does not set it; `WARNING` and `CRITICAL` are also accepted.",
  },
  {
    name: "MAX_VRAM_USAGE_PERCENT",
    key: "scheduler.max_vram_percent",
    about: "Share of a GPU's memory that may be in use, if the file does not set it.",
  },
  {
    name: "VRAM_RESERVE_MB",
    key: "scheduler.vram_reserve_mib",
    about: "GPU memory that models leave free, if the file does not set it.",
  },
  { name: "HF_TOKEN", key: null, about: "Hugging Face token, for gated repositories." },
  { name: "HF_ENDPOINT", key: null, about: "URL of Hugging Face or a mirror." },
  {
    name: "HF_PRESETS_DIR",
    key: null,
    about:
      "Folder of presets, which take precedence over those in `presets/` next to config.toml and over the included " +
      "ones.",
  },
  {
    name: "OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    key: "telemetry.otlp_endpoint",
    about: "Collector that traces are sent to: the base URL for all signals, or the whole URL for traces.",
  },
  {
    name: "OTEL_EXPORTER_OTLP_HEADERS, OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    key: null,
    about: "Headers of the requests to the collector, `name=value,name=value`.",
  },
  { name: "OTEL_EXPORTER_OTLP_TIMEOUT", key: null, about: "Timeout of a request to the collector, in ms." },
  { name: "OTEL_SERVICE_NAME", key: "telemetry.service_name", about: "`service.name` of the traces." },
  {
    name: "OTEL_RESOURCE_ATTRIBUTES",
    key: null,
    about: "Additional resource attributes, `name=value,name=value`.",
  },
  {
    name: "OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG",
    key: "telemetry.sample_ratio",
    about:
      "Which traces are recorded: `always_on`, `always_off` or `traceidratio` with the ratio, " +
      "each with or without `parentbased_` before it.",
  },
  { name: "OTEL_BSP_SCHEDULE_DELAY", key: null, about: "Delay before spans are sent in a batch, in ms." },
  { name: "OTEL_TRACES_EXPORTER", key: null, about: "`none`: no traces are sent to a collector." },
  { name: "OTEL_SDK_DISABLED", key: null, about: "`true`: no traces at all, including Langfuse's." },
  {
    name: "LANGFUSE_PUBLIC_KEY, LANGFUSE_SECRET_KEY",
    key: null,
    about: "Keys of a Langfuse project; with both, traces are sent there.",
  },
  { name: "LANGFUSE_BASE_URL, LANGFUSE_HOST", key: null, about: "URL of Langfuse, if it is not Langfuse Cloud." },
  { name: "LANGFUSE_ENABLED", key: null, about: "`false`: nothing is sent to Langfuse." },
  { name: "ASSISTANT_DEBUG", key: null, about: "If set, commands print errors with their stack trace." },
  {
    name: "XDG_CONFIG_HOME, XDG_DATA_HOME, XDG_STATE_HOME",
    key: null,
    about: "Base directories, as the XDG specification defines them.",
  },
] as const;

/** A snapshot of the process's environment. The only place of the product that reads it. */
export function readEnvironment(): Environment {
  return Object.freeze({ ...process.env });
}

/** An empty value counts as unset, as shells make it easy to export one by accident. */
export function variable(env: Environment, name: string): string | null {
  const value = env[name];
  return value === undefined || value === "" ? null : value;
}
