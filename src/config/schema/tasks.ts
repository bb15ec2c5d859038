import { defaults } from "../defaults.ts";
import { decimal, flag, integer, section, text } from "./kit.ts";

/** `[tasks]` of config.toml. */
export const TaskSection = section(
  {
    concurrency: integer("Tasks of one model that run at once; the others wait by priority.", {
      minimum: 1,
      maximum: 64,
      defaultText: "half of the model's slots, at least 1; of a service elsewhere, 4",
    }),
    max_attempts: integer(
      "How often a task is tried where it does not say: again after what may pass, such as a lost engine.",
      { minimum: 1, maximum: 100, default: defaults.taskMaxAttempts },
    ),
    retention_h: decimal("How long a task and its result are kept after its end.", {
      exclusiveMinimum: 0,
      default: defaults.taskRetentionH,
      unit: "h",
    }),
    max_pending: integer("Tasks that wait, above which a new one is refused with 429.", {
      minimum: 1,
      default: defaults.maxPendingTasks,
    }),
    webhook_timeout_s: decimal("Time within which a webhook's receiver must have answered.", {
      exclusiveMinimum: 0,
      maximum: 600,
      default: defaults.webhookTimeoutS,
      unit: "s",
    }),
    webhook_retries: integer("How often a webhook that failed is sent again, after 1, 2, 4, … s.", {
      minimum: 0,
      maximum: 20,
      default: defaults.webhookRetries,
    }),
    webhook_allow_private: flag("Let webhooks reach addresses of this machine and of private networks.", {
      default: false,
    }),
    webhook_secret_env: text("Name of the environment variable of the daemon that holds the secret of webhooks.", {
      pattern: "^[A-Za-z_][A-Za-z0-9_]*$",
      patternText: "the name of an environment variable",
      defaultText: "a secret that is made once; `assistant task secret` prints it",
    }),
  },
  "Tasks: durable requests that are answered later.",
);
