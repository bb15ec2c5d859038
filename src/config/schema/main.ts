import type { Static } from "typebox";
import { keyScopes, routingPolicies, storeSyncs } from "../../core/config.ts";
import { Type } from "../../core/schema.ts";
import { defaults } from "../defaults.ts";
import { capabilityTable } from "./capabilities.ts";
import { ClusterSection } from "./cluster.ts";
import { ConversationSection } from "./conversations.ts";
import { choice, decimal, flag, integer, integerOrAuto, list, requiredText, section, text, textOrList } from "./kit.ts";
import { PipelineSection } from "./pipelines.ts";
import { ProviderEntry, providersText } from "./providers.ts";
import { TaskSection } from "./tasks.ts";
import { TelemetrySection } from "./telemetry.ts";
import { WorkerPoolEntry, workerPoolsText } from "./worker-pools.ts";

const RemoteServer = Type.Object(
  {
    name: text("Name in messages and in `assistant node list`.", {
      defaultText: "its address",
      spec: { value: '"…"', becomes: "honoured" },
    }),
    grpc_addr: text("Address of the other machine's gRPC service, `host:port`.", {
      defaultText: "required where the entry is enabled",
      spec: { value: '"…"', becomes: "honoured" },
    }),
    weight: integer("Share of the work it gets, relative to the other servers; 0: only what no other can take.", {
      minimum: 0,
      default: defaults.remoteWeight,
      spec: { value: "1", becomes: "honoured (the reference ignores it)" },
    }),
    enabled: flag("Whether it is used.", { default: true, spec: { value: "true", becomes: "honoured" } }),
    api_key: text("Key that the other machine asks for, in plain; see `api_key_env`.", { secret: true, minLength: 1 }),
    api_key_env: text("Name of the environment variable of the daemon that holds that key.", {
      pattern: "^[A-Za-z_][A-Za-z0-9_]*$",
      patternText: "the name of an environment variable",
    }),
  },
  { additionalProperties: false },
);
const remoteServersText =
  "Other machines that run a daemon. They take requests when all instances of the model here are at `max_load`, and serve the models that only they have.";

const LlamaServer = Type.Object(
  {
    name: requiredText(
      "Name by which clients ask for the chat model (for the embedding model, where the entry has no chat model).",
      {
        spec: { value: '"…"', becomes: "the model's name" },
      },
    ),
    chat_model_path: text("Weights of the chat model, a GGUF file; relative to this file.", {
      spec: { value: '"…"', becomes: 'the source of a chat model; `""`: none' },
    }),
    embedding_model_path: text(
      "Weights of the embedding model, a GGUF file. Its name is `[embedding] model_name`, or `NAME-embedding` where the entry has a chat model too.",
      {
        spec: { value: '"…"', becomes: 'the source of an embedding model; `""`: none' },
      },
    ),
    tts_model_path: text("Piper voice (`.onnx`); relative to this file.", {
      spec: {
        value: '"…"',
        becomes: "honoured; a GGUF file is refused with the reason, and the entry's other models serve",
      },
    }),
    config_path: text("Model file with the settings of these models; relative to this file.", {
      spec: {
        value: '"…"',
        becomes: "read for its `[chat]`, `[embedding]` and `[server]` sections; the file then adds no further models",
      },
    }),
    port: integer("Port, on loopback, at which these models alone answer, whatever a request's `model` says.", {
      minimum: 1,
      maximum: 65535,
      spec: { value: "8000", becomes: "honoured, on 127.0.0.1 (on 0.0.0.0 with `allow_remote = true`)" },
    }),
  },
  { additionalProperties: false },
);
const llamaServersText =
  "A model, or a chat and an embedding model, by the paths of their weights. Instances start when first asked for.";

const ApiKeyEntry = Type.Object(
  {
    name: requiredText("Whoever holds the key; shown in logs, and the tenant of its requests.", {
      pattern: "^(?!local$).",
      patternText: 'any name but "local", which is this machine\'s own user',
    }),
    sha256: requiredText(
      "SHA-256 of the key, 64 hex digits: `printf %s KEY | sha256sum`. The key itself is never stored.",
      {
        pattern: "^[0-9A-Fa-f]{64}$",
        patternText: "64 hex digits, as `printf %s KEY | sha256sum` prints them",
        secret: true,
      },
    ),
    weight: decimal("Share of the machine, relative to other keys, while more is asked for than it can do.", {
      exclusiveMinimum: 0,
      default: 1,
    }),
    scopes: list(
      Type.Enum([...keyScopes]),
      "What the key may do: use models, read `/metrics`, register workers, call the admin API over the network.",
      {
        default: ["inference"],
      },
    ),
    models: list(
      Type.String({ minLength: 1 }),
      "Names or aliases of the models that the key may use and sees in lists.",
      { defaultText: "all" },
    ),
    max_in_flight: integer(
      "Requests that the key may have at once, waiting ones among them, above which a request is refused with 429 and `Retry-After`.",
      {
        minimum: 1,
        defaultText: "no limit",
      },
    ),
    requests_per_minute: integer(
      "Requests that the key may begin within any minute, above which a request is refused with 429 and `Retry-After`.",
      {
        minimum: 1,
        maximum: 1_000_000,
        defaultText: "no limit",
      },
    ),
    max_stored_mib: integer("What the key may have stored, instead of `[server] max_stored_mib`.", {
      minimum: 0,
      defaultText: "that of `[server]`",
      unit: "MiB",
    }),
    max_stored_records: integer("The same in records, instead of `[server] max_stored_records`.", {
      minimum: 0,
      defaultText: "that of `[server]`",
    }),
  },
  { additionalProperties: false, description: "One key." },
);

/** config.toml. The one source of its types, validation and documentation. */
export const MainFile = Type.Object(
  {
    server: section(
      {
        http_addr: textOrList(
          'Address of the OpenAI-compatible API, `host:port`, or a list of them; `""`: none; port 0: any free one.',
          {
            default: defaults.httpAddr,
            spec: {
              value: '"0.0.0.0:8080"',
              becomes:
                "honoured; default 127.0.0.1:8080. 0.0.0.0 is narrowed to loopback, with a warning, until a key exists or `allow_remote = true` is written",
            },
          },
        ),
        grpc_addr: text(
          'Address of the gRPC service, `host:port`; `""`: none; port 0: any free one. Where it is not written and taken, the daemon goes on without it.',
          {
            default: defaults.grpcAddr,
            spec: {
              value: '"0.0.0.0:50051"',
              becomes:
                "honoured; default 127.0.0.1:50051. 0.0.0.0 is narrowed to loopback, with a warning, until a key exists or `allow_remote = true` is written",
            },
          },
        ),
        allow_remote: flag(
          "Serve on addresses other than loopback although no key is set: whoever reaches the address may use the models.",
          {
            default: false,
          },
        ),
        cors_origins: list(
          Type.String({
            pattern: "^(\\*|[a-z][a-z0-9+.-]*://[^/\\s]+)$",
            patternText: 'an origin such as "https://chat.example.org", or "*"',
          }),
          'Origins of web pages that may call the API, besides pages of this machine; `"*"` for all.',
          { default: [] },
        ),
        allowed_hosts: list(
          Type.String({
            pattern: "^[^\\s/:]+$|^\\[?[0-9A-Fa-f:]+\\]?$",
            patternText: "a host name without scheme and port",
          }),
          "Host names under which clients may address the API, besides loopback ones and the bound address.",
          { default: [] },
        ),
        body_limit_mib: integer("Largest request body.", {
          minimum: 1,
          maximum: 4096,
          default: defaults.bodyLimitMib,
          unit: "MiB",
        }),
        max_messages: integer("Most messages of a chat. Chat templates take seconds for tens of thousands.", {
          minimum: 1,
          maximum: 1_000_000,
          default: defaults.maxMessages,
        }),
        file_limit_mib: integer("Largest file that clients may upload to `/v1/files`.", {
          minimum: 1,
          maximum: 65_536,
          default: defaults.fileLimitMib,
          unit: "MiB",
        }),
        max_stored_mib: integer(
          "What one API key may have stored: files, objects, responses, conversations, batches and tasks. What would be more is refused; what was accepted before still ends.",
          { minimum: 0, maximum: 2 ** 30, default: defaults.maxStoredMib, unit: "MiB" },
        ),
        max_stored_records: integer(
          "The same in records: one for each file, object, response, batch and task, two for each conversation.",
          { minimum: 0, maximum: 1_000_000_000, default: defaults.maxStoredRecords },
        ),
        min_free_disk_mib: integer(
          "Free room on the disk of the data directory below which nothing new is accepted that is to be stored, from anybody.",
          { minimum: 0, maximum: 2 ** 30, default: defaults.minFreeDiskMib, unit: "MiB" },
        ),
        keep_objects_days: integer(
          "How long objects of `/api/v1/objects` are kept that are created without `ttl_seconds`; 0: until they are deleted.",
          { minimum: 0, maximum: 3650, default: defaults.keepObjectsDays, unit: "days" },
        ),
        keep_responses_days: integer(
          "How long responses of `/v1/responses` are kept, for clients that go on from them; 0: none is kept.",
          { minimum: 0, maximum: 3650, default: defaults.keepResponsesDays, unit: "days" },
        ),
        share_prefixes: flag(
          "Let what is cached of one key's prompts serve another's: saves work where they begin alike, but by how fast an answer begins each can tell what the others have asked.",
          { default: defaults.sharePrefixes },
        ),
        api_key_sha256: list(
          ApiKeyEntry,
          "Keys, of which every request must carry one. Without any, requests need no key.",
          { default: [], secret: true },
        ),
      },
      "Where and for whom the daemon answers.",
    ),
    gateway: section(
      {
        unknown_model: choice(
          ["refuse", "default"],
          "What becomes of a request for a model that is not configured: it is refused, or served by the model with the name or alias `default`, else by the first model that can do what is asked.",
          { default: defaults.unknownModel },
        ),
      },
      "How requests are taken.",
    ),
    scheduler: section(
      {
        config_dir: text("Directory of the model files, `NAME.toml` each.", {
          defaultText: "`models` beside this file",
          spec: {
            value: '"/etc/assistant/models"',
            becomes: "honoured; every `NAME.toml` in it is a separate model, unless a `config_path` names it",
          },
        }),
        max_instances: integer("Most instances at once, over all models and devices.", {
          minimum: 1,
          default: defaults.maxInstances,
          spec: {
            value: "10",
            becomes: "honoured; at the limit an idle instance makes room, and requests wait instead of failing",
          },
        }),
        max_load: decimal(
          "Load of an instance (work in flight ÷ capacity) from which a further replica starts and other nodes are asked.",
          {
            exclusiveMinimum: 0,
            maximum: 1,
            default: defaults.maxLoad,
            spec: {
              value: "0.8",
              becomes: "honoured; compares work in flight with capacity, not the number of instances",
            },
          },
        ),
        max_queued_per_model: integer(
          "Waiting requests per model, above which a request is refused with 429 and `Retry-After`.",
          {
            minimum: 0,
            default: defaults.maxQueuedPerModel,
          },
        ),
        max_queued_per_tenant: integer(
          "Waiting requests of one tenant (API key), over all models, above which a request is refused with 429 and `Retry-After`.",
          {
            minimum: 0,
            default: defaults.maxQueuedPerTenant,
          },
        ),
        policy: choice(
          [...routingPolicies],
          "How the instance for a request is chosen; docs/scheduler.md compares them.",
          { default: defaults.policy },
        ),
        max_wait_s: decimal(
          "Wait after which the oldest request of a tenant and priority has the next turn, whatever the others' priorities.",
          {
            minimum: 0,
            default: defaults.maxWaitS,
            unit: "s",
          },
        ),
        max_swap_wait_s: decimal(
          "Time that a model waits for the place of another one that is in use before that one has to make room.",
          {
            minimum: 0,
            default: defaults.maxSwapWaitS,
            unit: "s",
          },
        ),
        thread_budget: integerOrAuto(
          "Threads that all instances together may use; models of one thread each may be twice as many.",
          {
            default: "auto",
            defaultText: '`"auto"`: the physical cores',
          },
        ),
        max_vram_percent: decimal(
          "Share of a GPU's memory that may be in use once a model is loaded, other programs' use included.",
          { exclusiveMinimum: 0, maximum: 100, default: defaults.maxVramPercent, unit: "%" },
        ),
        vram_reserve_mib: integer("GPU memory that models leave free beyond that, of each GPU.", {
          minimum: 0,
          default: defaults.vramReserveMib,
          unit: "MiB",
        }),
        start_timeout_s: decimal("Time an instance may take to start before it counts as failed.", {
          exclusiveMinimum: 0,
          default: defaults.startTimeoutS,
          unit: "s",
        }),
        wedge_after_s: decimal(
          "Time that busy slots may go without progress before their engine is taken for dead and started again.",
          {
            exclusiveMinimum: 0,
            default: defaults.wedgeAfterS,
            unit: "s",
          },
        ),
        host_cache_budget_mib: integer(
          "Host memory that the caches of all instances together (`host_cache_mib` of each) keep within; an instance that starts gets what it asks for or its part of what is left.",
          { minimum: 0, defaultText: "an eighth of the memory", unit: "MiB" },
        ),
        slot_cache_mib: integer(
          "Disk, in the data directory, for conversations of models that were stopped while idle, so that they are not computed again when they come back; 0: none.",
          { minimum: 0, default: defaults.slotCacheMib, unit: "MiB" },
        ),
        drain_timeout_s: decimal("Time that running requests get when an instance or the daemon stops.", {
          minimum: 0,
          default: defaults.drainTimeoutS,
          unit: "s",
        }),
      },
      "How work is shared out.",
    ),
    tasks: TaskSection,
    capabilities: capabilityTable(
      'What this machine offers, such as `gpus = 2` or `zone = "eu"`: requests may ask for it, and all models here have it besides their own capabilities.',
    ),
    conversations: ConversationSection,
    store: section(
      {
        sync: choice(
          [...storeSyncs],
          "When the embedded store waits for the disk. `always`: before a write is acknowledged, so that it outlives a power failure. `everysec`: every second, as Redis' `appendfsync everysec` does; a write is acknowledged sooner and outlives every crash of the daemon, but not a power failure within about a second.",
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
          "Hosts that registered workers may be on, besides loopback addresses that programs of this machine register: names, `.example.com` for all below a domain, networks such as `10.0.0.0/8`, or `*` for all.",
          { default: [] },
        ),
      },
      "Programs that register themselves and serve models.",
    ),
    pipelines: PipelineSection,
    llama_servers: Type.Optional(Type.Array(LlamaServer, { description: llamaServersText })),
    remote_servers: Type.Optional(Type.Array(RemoteServer, { description: remoteServersText })),
    worker_pools: Type.Optional(Type.Array(WorkerPoolEntry, { description: workerPoolsText })),
    providers: Type.Optional(Type.Array(ProviderEntry, { description: providersText })),
    engine: section(
      {
        llama_server_path: text("llama-server binary to use.", {
          defaultText: "the one that `assistant engine build` made, then the one on the PATH",
        }),
        build_in_background: flag(
          "Whether install.sh may have llama-server built at low priority, where there are compilers and no native engine. Models run on the embedded one meanwhile.",
          { default: defaults.buildInBackground },
        ),
      },
      "The programs that run models.",
    ),
    log: section(
      {
        level: choice(["debug", "info", "warn", "error"], "How much the daemon logs.", { default: defaults.logLevel }),
      },
      "The daemon's own log.",
    ),
    telemetry: TelemetrySection,
  },
  { additionalProperties: false },
);
export type MainFile = Static<typeof MainFile>;
