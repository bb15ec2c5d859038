import { section, text } from "./kit.ts";

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
  },
  "Several daemons as one service.",
);
