import { keyScopes } from "../../core/config.ts";
import { Type } from "../../core/schema.ts";
import { defaults } from "../defaults.ts";
import { decimal, flag, integer, list, requiredText, section, text, textOrList } from "./kit.ts";

const ApiKeyEntry = Type.Object(
  {
    name: requiredText("Name of the key's holder; shown in logs, and the tenant of its requests.", {
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
    weight: decimal("Share of the machine, relative to other keys, under load.", {
      exclusiveMinimum: 0,
      default: 1,
    }),
    scopes: list(
      Type.Enum([...keyScopes]),
      "What the key may do: use models, read `/metrics`, register workers, call the admin API over the network.",
      { default: ["inference"] },
    ),
    models: list(
      Type.String({ minLength: 1 }),
      "Names or aliases of the models that the key may use and sees in lists.",
      { defaultText: "all" },
    ),
    max_in_flight: integer(
      "Concurrent requests of the key, including waiting ones; more are refused with 429 and `Retry-After`.",
      { minimum: 1, defaultText: "no limit" },
    ),
    requests_per_minute: integer(
      "Requests of the key within any minute; more are refused with 429 and `Retry-After`.",
      { minimum: 1, maximum: 1_000_000, defaultText: "no limit" },
    ),
    max_stored_mib: integer("Storage limit of the key, overriding `[server] max_stored_mib`.", {
      minimum: 0,
      defaultText: "that of `[server]`",
      unit: "MiB",
    }),
    max_stored_records: integer("The same as a number of records, overriding `[server] max_stored_records`.", {
      minimum: 0,
      defaultText: "that of `[server]`",
    }),
  },
  { additionalProperties: false, description: "One key." },
);

/** `[server]` of config.toml. */
export const ServerSection = section(
  {
    http_addr: textOrList(
      'Address of the OpenAI-compatible API, `host:port`, or a list of them; `""`: none; port 0: any free one.',
      {
        default: defaults.httpAddr,
        spec: {
          value: '"0.0.0.0:8080"',
          becomes:
            "honoured; default 127.0.0.1:8080. 0.0.0.0 is restricted to loopback, with a warning, " +
            "until a key exists or `allow_remote = true` is set",
        },
      },
    ),
    grpc_addr: text(
      'Address of the gRPC service, `host:port`; `""`: none; port 0: any free one. If the default address is taken, the daemon runs without gRPC.',
      {
        default: defaults.grpcAddr,
        spec: {
          value: '"0.0.0.0:50051"',
          becomes:
            "honoured; default 127.0.0.1:50051. 0.0.0.0 is restricted to loopback, with a warning, " +
            "until a key exists or `allow_remote = true` is set",
        },
      },
    ),
    allow_remote: flag(
      "Serve on addresses other than loopback without any key: anybody who can reach the address may use the models.",
      { default: false },
    ),
    cors_origins: list(
      Type.String({
        pattern: "^(\\*|[a-z][a-z0-9+.-]*://[^/\\s]+)$",
        patternText: 'an origin such as "https://chat.example.org", or "*"',
      }),
      'Origins of web pages that may call the API, in addition to pages of this machine; `"*"` for all.',
      { default: [] },
    ),
    allowed_hosts: list(
      Type.String({
        pattern: "^[^\\s/:]+$|^\\[?[0-9A-Fa-f:]+\\]?$",
        patternText: "a host name without scheme and port",
      }),
      "Host names under which clients may address the API, in addition to loopback names and the bound address.",
      { default: [] },
    ),
    body_limit_mib: integer("Maximum size of a request body.", {
      minimum: 1,
      maximum: 4096,
      default: defaults.bodyLimitMib,
      unit: "MiB",
    }),
    max_messages: integer(
      "Maximum number of messages in a chat. Chat templates take seconds to render tens of thousands.",
      {
        minimum: 1,
        maximum: 1_000_000,
        default: defaults.maxMessages,
      },
    ),
    file_limit_mib: integer("Maximum size of a file uploaded to `/v1/files`.", {
      minimum: 1,
      maximum: 65_536,
      default: defaults.fileLimitMib,
      unit: "MiB",
    }),
    max_stored_mib: integer(
      "Storage limit of one API key: files, objects, responses, conversations, batches and tasks. " +
        "Beyond it, new records are refused; accepted work still completes.",
      { minimum: 0, maximum: 2 ** 30, default: defaults.maxStoredMib, unit: "MiB" },
    ),
    max_stored_records: integer(
      "The same as a number of records: one for each file, object, response, batch and task, " +
        "two for each conversation.",
      { minimum: 0, maximum: 1_000_000_000, default: defaults.maxStoredRecords },
    ),
    min_free_disk_mib: integer(
      "Free space on the disk of the data directory below which no new records or files are accepted from anybody.",
      { minimum: 0, maximum: 2 ** 30, default: defaults.minFreeDiskMib, unit: "MiB" },
    ),
    keep_objects_days: integer(
      "How long objects of `/api/v1/objects` created without `ttl_seconds` are kept; 0: until they are deleted.",
      { minimum: 0, maximum: 3650, default: defaults.keepObjectsDays, unit: "days" },
    ),
    keep_responses_days: integer(
      "How long responses of `/v1/responses` are kept, so that clients can continue from them; 0: not at all.",
      { minimum: 0, maximum: 3650, default: defaults.keepResponsesDays, unit: "days" },
    ),
    share_prefixes: flag(
      "Share cached prompt prefixes between keys. Saves work if prompts start alike, " +
        "but the time to first token then reveals to each key what others have asked.",
      { default: defaults.sharePrefixes },
    ),
    api_key_sha256: list(
      ApiKeyEntry,
      "API keys, one of which every request must carry. Without any, requests need no key.",
      { default: [], secret: true },
    ),
  },
  "Addresses, access and limits.",
);
