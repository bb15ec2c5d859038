import { defaults } from "../defaults.ts";
import { decimal, flag, integer, section, variableName } from "./kit.ts";

/** `[tasks]` of config.toml. */
export const TaskSection = section(
  {
    concurrency: integer("Tasks of one model that run at once; the others wait, ordered by priority.", {
      minimum: 1,
      maximum: 64,
      defaultText: "half of the model's slots, at least 1; for remote services, 4",
    }),
    max_attempts: integer(
      "Default number of attempts of a task, which is retried after temporary failures such as a lost engine.",
      { minimum: 1, maximum: 100, default: defaults.taskMaxAttempts },
    ),
    retention_h: decimal("How long a task and its result are kept after it has ended.", {
      exclusiveMinimum: 0,
      default: defaults.taskRetentionH,
      unit: "h",
    }),
    max_pending: integer("Maximum number of waiting tasks; more are refused with 429.", {
      minimum: 1,
      default: defaults.maxPendingTasks,
    }),
    webhook_timeout_s: decimal("Timeout for the response of a webhook's receiver.", {
      exclusiveMinimum: 0,
      maximum: 600,
      default: defaults.webhookTimeoutS,
      unit: "s",
    }),
    webhook_retries: integer("Retries of a failed webhook, after 1, 2, 4, … s.", {
      minimum: 0,
      maximum: 20,
      default: defaults.webhookRetries,
    }),
    webhook_allow_private: flag("Allow webhooks to addresses of this machine and of private networks.", {
      default: false,
    }),
    webhook_secret_env: variableName(
      "Name of the daemon's environment variable that holds the secret for signing webhooks.",
      { defaultText: "a generated secret; `assistant task secret` prints it" },
    ),
  },
  "Tasks: durable requests that are answered later.",
);
