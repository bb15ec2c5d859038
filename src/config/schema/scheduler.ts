import { routingPolicies } from "../../core/config.ts";
import { defaults } from "../defaults.ts";
import { choice, decimal, integer, integerOrAuto, section, text } from "./kit.ts";

/** `[scheduler]` of config.toml. */
export const SchedulerSection = section(
  {
    config_dir: text("Directory of the model files, `NAME.toml` each.", {
      defaultText: "`models` next to this file",
      spec: {
        value: '"/etc/assistant/models"',
        becomes: "honoured; every `NAME.toml` in it is a separate model, unless a `config_path` names it",
      },
    }),
    max_instances: integer("Maximum number of instances, over all models and devices.", {
      minimum: 1,
      default: defaults.maxInstances,
      spec: {
        value: "10",
        becomes: "honoured; at the limit an idle instance makes room, and requests wait instead of failing",
      },
    }),
    max_load: decimal(
      "Load of an instance (work in flight ÷ capacity) at which another replica starts and other nodes are used.",
      {
        exclusiveMinimum: 0,
        maximum: 1,
        default: defaults.maxLoad,
        spec: { value: "0.8", becomes: "honoured; compares work in flight with capacity, not the number of instances" },
      },
    ),
    max_queued_per_model: integer("Waiting requests per model; more are refused with 429 and `Retry-After`.", {
      minimum: 0,
      default: defaults.maxQueuedPerModel,
    }),
    max_queued_per_tenant: integer(
      "Waiting requests per tenant (API key), over all models; more are refused with 429 and `Retry-After`.",
      { minimum: 0, default: defaults.maxQueuedPerTenant },
    ),
    policy: choice(
      [...routingPolicies],
      "How the instance for a request is chosen; docs/scheduler.md compares the policies.",
      {
        default: defaults.policy,
      },
    ),
    max_wait_s: decimal(
      "Waiting time after which the oldest request of a tenant and priority is served next, " +
        "regardless of other priorities.",
      { minimum: 0, default: defaults.maxWaitS, unit: "s" },
    ),
    max_swap_wait_s: decimal("How long a model waits for room before a busy model is unloaded for it.", {
      minimum: 0,
      default: defaults.maxSwapWaitS,
      unit: "s",
    }),
    thread_budget: integerOrAuto(
      "Threads that all instances together may use; twice as many if each has a single thread.",
      { default: "auto", defaultText: '`"auto"`: the physical cores' },
    ),
    max_vram_percent: decimal(
      "Share of a GPU's memory that may be in use after a model is loaded, including other programs.",
      { exclusiveMinimum: 0, maximum: 100, default: defaults.maxVramPercent, unit: "%" },
    ),
    vram_reserve_mib: integer("Memory of each GPU that models leave free in addition.", {
      minimum: 0,
      default: defaults.vramReserveMib,
      unit: "MiB",
    }),
    start_timeout_s: decimal("How long an instance may take to start before the start counts as failed.", {
      exclusiveMinimum: 0,
      default: defaults.startTimeoutS,
      unit: "s",
    }),
    wedge_after_s: decimal(
      "How long busy slots may make no progress before their engine is considered dead and restarted.",
      { exclusiveMinimum: 0, default: defaults.wedgeAfterS, unit: "s" },
    ),
    host_cache_budget_mib: integer(
      "Total host memory for the caches of all instances (`host_cache_mib` of each); " +
        "a starting instance gets what it asks for, or its share of what is left.",
      { minimum: 0, defaultText: "an eighth of the memory", unit: "MiB" },
    ),
    slot_cache_mib: integer(
      "Disk space, in the data directory, for the conversations of models that were stopped while idle, " +
        "which then need not be recomputed; 0: none.",
      { minimum: 0, default: defaults.slotCacheMib, unit: "MiB" },
    ),
    drain_timeout_s: decimal("How long running requests may take to finish when an instance or the daemon stops.", {
      minimum: 0,
      default: defaults.drainTimeoutS,
      unit: "s",
    }),
  },
  "Scheduling of requests, instances and memory.",
);
