import { Type } from "../../core/schema.ts";
import { defaults } from "../defaults.ts";
import { entries, flag, integer, text, variableName } from "./kit.ts";

const RemoteServer = Type.Object(
  {
    name: text("Name in messages and in `assistant node list`.", {
      defaultText: "its address",
      spec: { value: '"…"', becomes: "honoured" },
    }),
    grpc_addr: text("Address of the other machine's gRPC service, `host:port`.", {
      defaultText: "required if the entry is enabled",
      spec: { value: '"…"', becomes: "honoured" },
    }),
    weight: integer("Share of the work, relative to other servers; 0: only requests that no other server can take.", {
      minimum: 0,
      default: defaults.remoteWeight,
      spec: { value: "1", becomes: "honoured (the reference ignores it)" },
    }),
    enabled: flag("Whether the entry is used.", { default: true, spec: { value: "true", becomes: "honoured" } }),
    api_key: text("API key for the other machine, in plain text; see `api_key_env`.", { secret: true, minLength: 1 }),
    api_key_env: variableName("Name of the daemon's environment variable that holds that key."),
  },
  { additionalProperties: false },
);

/** `[[remote_servers]]` of config.toml. */
export const RemoteServers = entries(
  RemoteServer,
  "Other machines that run a daemon. They take requests when all local instances of the model are at `max_load`, " +
    "and serve models that only they have.",
);
