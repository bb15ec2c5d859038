import type { Conversations } from "../conversations/conversations.ts";
import { bodyOf } from "../core/inference.ts";
import { decodedBody } from "../gateway/canonical/decode.ts";
import { Pipelines } from "../pipelines/pipelines.ts";
import type { DaemonLog } from "../telemetry/log.ts";
import type { Components } from "./components.ts";
import type { Current } from "./current.ts";
import { pipelineConversations } from "./task-conversations.ts";

export function createPipelines(
  current: Current,
  { inference, remotes, directory }: Pick<Components, "inference" | "remotes" | "directory">,
  conversations: Conversations,
  log: DaemonLog,
): Pipelines {
  const pipelines = new Pipelines({
    inference,
    variable: (name) => current.env[name],
    decode: (json) => decodedBody("chat", bodyOf(json)),
    conversations: pipelineConversations(conversations, directory),
    log: log.part("pipelines"),
  });
  pipelines.onChange = remotes.add(pipelines);
  return pipelines;
}
