import type { Static } from "typebox";
import { storeSyncs } from "../../core/config.ts";
import { Type } from "../../core/schema.ts";
import { defaults } from "../defaults.ts";
import { capabilityTable } from "./capabilities.ts";
import { ClusterSection } from "./cluster.ts";
import { ConversationSection } from "./conversations.ts";
import { choice, flag, list, section, text } from "./kit.ts";
import { LlamaServers } from "./llama-servers.ts";
import { PipelineSection } from "./pipelines.ts";
import { Providers } from "./providers.ts";
import { RemoteServers } from "./remote-servers.ts";
import { SchedulerSection } from "./scheduler.ts";
import { ServerSection } from "./server.ts";
import { TaskSection } from "./tasks.ts";
import { TelemetrySection } from "./telemetry.ts";
import { WorkerPools } from "./worker-pools.ts";

/** config.toml. The one source of its types, validation and documentation. */
export const MainFile = Type.Object(
  {
    server: ServerSection,
    gateway: section(
      {
        unknown_model: choice(
          ["refuse", "default"],
          "How to handle requests for a model that is not configured: refuse them, " +
            "or serve them with the model named (or aliased) `default`, " +
            "else with the first model that supports the operation.",
          { default: defaults.unknownModel },
        ),
      },
      "Request handling.",
    ),
    scheduler: SchedulerSection,
    tasks: TaskSection,
    capabilities: capabilityTable(
      'Capabilities of this machine, such as `gpus = 2` or `zone = "eu"`, which all its models offer in addition to their own.',
    ),
    conversations: ConversationSection,
    store: section(
      {
        sync: choice(
          [...storeSyncs],
          "When the embedded store waits for the disk. `always`: before a write is acknowledged, " +
            "so that it outlives a power failure. `everysec`: every second, as Redis' `appendfsync everysec` does; " +
            "a write is acknowledged sooner and outlives every crash of the daemon, " +
            "but not a power failure within about a second.",
          { default: defaults.storeSync },
        ),
      },
      "Where tasks, keys, conversations and files are kept. With `[cluster] url`, Redis' own settings decide instead.",
    ),
    cluster: ClusterSection,
    workers: section(
      {
        allowed_hosts: list(
          Type.String({ minLength: 1 }),
          "Hosts that workers may register endpoints on, in addition to loopback addresses registered by programs " +
            "of this machine: names, `.example.com` for all subdomains, networks such as `10.0.0.0/8`, or `*` for all.",
          { default: [] },
        ),
      },
      "Workers: programs that register themselves and serve models.",
    ),
    pipelines: PipelineSection,
    llama_servers: LlamaServers,
    remote_servers: RemoteServers,
    worker_pools: WorkerPools,
    providers: Providers,
    engine: section(
      {
        llama_server_path: text("Path of the llama-server binary.", {
          defaultText: "the one built by `assistant engine build`, then the one on the PATH",
        }),
        build_in_background: flag(
          "Whether install.sh may build llama-server in the background, at low priority, " +
            "if compilers are available and no native engine is installed.",
          { default: defaults.buildInBackground },
        ),
      },
      "Engines, the programs that run models.",
    ),
    log: section(
      {
        level: choice(["debug", "info", "warn", "error"], "Log level of the daemon.", { default: defaults.logLevel }),
      },
      "Log of the daemon.",
    ),
    telemetry: TelemetrySection,
  },
  { additionalProperties: false },
);
export type MainFile = Static<typeof MainFile>;
