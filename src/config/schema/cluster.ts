import { defaults } from "../defaults.ts";
import { decimal, section, text, variableName } from "./kit.ts";

/** `[cluster]` of config.toml. */
export const ClusterSection = section(
  {
    url: text(
      "Redis or Valkey 7 or newer, which stores the durable records of all daemons that use it: " +
        "`redis://HOST:PORT/DATABASE`, or `rediss://` for TLS.",
      { secret: true, minLength: 1, defaultText: "none: records are stored in the data directory" },
    ),
    url_env: variableName("Name of the daemon's environment variable that holds that URL, such as `REDIS_URL`."),
    name: text("Name of this machine in the cluster.", {
      pattern: "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
      patternText: "up to 64 letters, digits and . _ -, beginning with a letter or digit",
      defaultText: "its host name",
    }),
    advertise: text("Address, `host:port`, at which other machines reach this machine's gRPC service.", {
      defaultText: "the address it listens on; for `0.0.0.0`, that of the first network interface",
    }),
    api_key: text("API key that the machines use for each other, in plain text; see `api_key_env`.", {
      secret: true,
      minLength: 1,
    }),
    api_key_env: variableName("Name of the daemon's environment variable that holds that key."),
    lost_after_s: decimal(
      "Time without a sign of life after which a machine is considered dead and others take over its tasks.",
      { minimum: 2, maximum: 600, default: defaults.clusterLostAfterS, unit: "s" },
    ),
  },
  "Several daemons as one service.",
);
