import type { TaskSettings } from "../core/config.ts";
import { defaults } from "./defaults.ts";
import { at } from "./draft.ts";
import { type Environment, variable } from "./environment.ts";
import type { Findings, Place } from "./findings.ts";
import type { MainFile } from "./schema/main.ts";

const HOUR_MS = 3_600_000;

export function tasksOf({ tasks }: MainFile, findings: Findings, root: Place, env: Environment): TaskSettings {
  const secretVariable = tasks?.webhook_secret_env;
  const secret = secretVariable === undefined ? null : variable(env, secretVariable);
  if (secretVariable !== undefined && secret === null)
    findings.warning(
      at(root, "tasks", "webhook_secret_env"),
      `the environment variable ${secretVariable} is not set, so webhooks are signed with the secret that \`assistant task secret\` prints`,
    );
  return {
    concurrency: tasks?.concurrency ?? null,
    maxAttempts: tasks?.max_attempts ?? defaults.taskMaxAttempts,
    retentionMs: (tasks?.retention_h ?? defaults.taskRetentionH) * HOUR_MS,
    maxPending: tasks?.max_pending ?? defaults.maxPendingTasks,
    webhooks: {
      timeoutMs: (tasks?.webhook_timeout_s ?? defaults.webhookTimeoutS) * 1000,
      retries: tasks?.webhook_retries ?? defaults.webhookRetries,
      allowPrivate: tasks?.webhook_allow_private ?? false,
      secret,
    },
  };
}
