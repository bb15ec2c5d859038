import type { Conversations } from "../conversations/conversations.ts";
import { systemClock } from "../core/clock.ts";
import { BATCH_JOB, Batches } from "../gateway/doors/openai/batches/batches.ts";
import { batchRoutes } from "../gateway/doors/openai/door.ts";
import type { Files } from "../gateway/doors/openai/files/stored.ts";
import type { Responses } from "../gateway/doors/openai/responses/stored.ts";
import type { Authorizer } from "../gateway/front/authorize.ts";
import type { Stores } from "../store/stores.ts";
import type { Tasks } from "../tasks/tasks.ts";
import type { DaemonLog } from "../telemetry/log.ts";
import type { Components } from "./components.ts";
import type { Current } from "./current.ts";

export interface BatchParts {
  readonly tasks: Tasks;
  readonly files: Files;
  readonly responses: Responses;
  readonly conversations: Conversations;
  readonly authorizer: Authorizer;
  readonly log: DaemonLog;
}

/** Batches, which the tasks' queue runs. */
export function createBatches(
  current: Current,
  { inference, directory }: Pick<Components, "inference" | "directory">,
  { records: store }: Pick<Stores, "records">,
  { tasks, files, responses, conversations, authorizer, log }: BatchParts,
): Batches {
  const batches = new Batches({
    ...{ store, files, tasks, inference, directory, authorizer },
    routes: batchRoutes({ inference, directory, responses, conversations }),
    maxLineBytes: () => current.config.bodyLimitBytes,
    clock: systemClock,
    log: log.part("batches"),
  });
  tasks.register(BATCH_JOB, batches);
  return batches;
}
