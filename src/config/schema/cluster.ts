import { defaults } from "../defaults.ts";
import { decimal, section, text } from "./kit.ts";

/** `[cluster]` of config.toml. */
export const ClusterSection = section(
  {
    url: text(
      "Redis or Valkey, 7 or newer, that keeps the durable records of all daemons which name it: `redis://HOST:PORT/DATABASE`, or `rediss://` for TLS.",
      { secret: true, minLength: 1, defaultText: "none: the records are in the data directory" },
    ),
    url_env: text("Name of the environment variable of the daemon that holds that URL, such as `REDIS_URL`.", {
      pattern: "^[A-Za-z_][A-Za-z0-9_]*$",
      patternText: "the name of an environment variable",
    }),
    name: text("Name of this machine among the others.", {
      pattern: "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
      patternText: "up to 64 letters, digits and . _ -, beginning with a letter or digit",
      defaultText: "its host name",
    }),
    advertise: text("Address, `host:port`, at which the others reach this machine's gRPC service.", {
      defaultText: "the address it listens at, or that of the first network where it listens at all of them",
    }),
    api_key: text("Key that the machines ask each other for, in plain; see `api_key_env`.", {
      secret: true,
      minLength: 1,
    }),
    api_key_env: text("Name of the environment variable of the daemon that holds that key.", {
      pattern: "^[A-Za-z_][A-Za-z0-9_]*$",
      patternText: "the name of an environment variable",
    }),
    lost_after_s: decimal(
      "A machine that gives no sign of life for as long has died: another one takes up the tasks that it ran.",
      { minimum: 2, maximum: 600, default: defaults.clusterLostAfterS, unit: "s" },
    ),
  },
  "Several daemons as one service.",
);
