import { defaults } from "../config/defaults.ts";
import type { Conversations } from "../conversations/conversations.ts";
import { systemClock } from "../core/clock.ts";
import { bodyOf } from "../core/inference.ts";
import type { Tracer } from "../core/trace.ts";
import { decodedBody } from "../gateway/canonical/decode.ts";
import type { Authorizer } from "../gateway/front/authorize.ts";
import type { Stores } from "../store/stores.ts";
import { kindOfLane } from "../tasks/jobs.ts";
import { type TaskObserver, Tasks } from "../tasks/tasks.ts";
import type { DaemonLog } from "../telemetry/log.ts";
import type { Components } from "./components.ts";
import type { Current } from "./current.ts";
import { taskConversations } from "./task-conversations.ts";

export const createTasks = (
  current: Current,
  { inference, directory }: Pick<Components, "inference" | "directory">,
  { records: store, cluster: connection }: Pick<Stores, "records" | "cluster">,
  authorizer: Pick<Authorizer, "callerOf">,
  log: DaemonLog,
  tracer: Tracer | null,
  observer: TaskObserver,
  conversations: Conversations,
): Tasks =>
  new Tasks({
    store,
    inference,
    decode: (json) => decodedBody("chat", bodyOf(json)),
    callerOf: (tenant) => authorizer.callerOf(tenant),
    settings: () => current.config.tasks,
    slotsOf: (name) => {
      const model = directory.find(name);
      return model === undefined || model.nodes !== undefined || model.source.type === "provider"
        ? null
        : model.load.slots;
    },
    cluster:
      connection === null
        ? null
        : {
            connection,
            serves: (lane) => directory.find(kindOfLane(lane).model) !== undefined,
            lostAfterMs: current.config.cluster?.lostAfterMs ?? defaults.clusterLostAfterS * 1_000,
          },
    clock: systemClock,
    tracer,
    log: log.part("tasks"),
    observer,
    conversations: taskConversations(conversations, directory),
  });
