import type { Conversations } from "../conversations/conversations.ts";
import { systemClock } from "../core/clock.ts";
import { BATCH_JOB, Batches } from "../gateway/doors/openai/batches/batches.ts";
import { batchRoutes } from "../gateway/doors/openai/door.ts";
import { Files } from "../gateway/doors/openai/files/stored.ts";
import { Background, RESPONSE_JOB } from "../gateway/doors/openai/responses/background.ts";
import { Responses } from "../gateway/doors/openai/responses/stored.ts";
import type { Authorizer } from "../gateway/front/authorize.ts";
import type { Stores } from "../store/stores.ts";
import { Relay } from "../tasks/relay.ts";
import type { Tasks } from "../tasks/tasks.ts";
import type { DaemonLog } from "../telemetry/log.ts";
import type { Components } from "./components.ts";
import type { Current } from "./current.ts";

/** What OpenAI's API keeps, and what of it the tasks' queue does. */
export interface Deferred {
  readonly files: Files;
  readonly responses: Responses;
  readonly batches: Batches;
  /** Ends what is done for a tenant: nothing is stored for it any more when this resolves. */
  endAllOf(tenant: string): Promise<void>;
}

export interface DeferredParts {
  readonly tasks: Tasks;
  readonly conversations: Conversations;
  readonly authorizer: Authorizer;
  readonly log: DaemonLog;
}

export function createDeferred(
  current: Current,
  { inference, directory }: Pick<Components, "inference" | "directory">,
  { records: store, cluster: connection }: Pick<Stores, "records" | "cluster">,
  { tasks, conversations, authorizer, log }: DeferredParts,
): Deferred {
  const callerOf = (tenant: string) => authorizer.callerOf(tenant);
  const files = new Files(store, () => current.config.fileLimitBytes);
  const responses = new Responses(store, () => current.config.keepResponsesMs, {
    queue: tasks,
    mayKeep: (tenant) => authorizer.isKnown(tenant),
    relay: (read) =>
      connection === null ? null : new Relay({ connection, kind: "response", read, clock: systemClock }),
  });
  const batches = new Batches({
    ...{ store, files, tasks, inference, directory, authorizer },
    routes: batchRoutes({ inference, directory, responses, conversations }),
    maxLineBytes: () => current.config.bodyLimitBytes,
    clock: systemClock,
    log: log.part("batches"),
  });
  tasks.register(BATCH_JOB, batches);
  tasks.register(RESPONSE_JOB, new Background({ responses, conversations, inference, callerOf }));
  return {
    ...{ files, responses, batches },
    async endAllOf(tenant) {
      await batches.endAllOf(tenant);
      await tasks.cancelAllOf(tenant);
      await responses.endedAllOf(tenant);
    },
  };
}
