import { Conversations } from "../conversations/conversations.ts";
import type { TokenCounter } from "../conversations/history.ts";
import { systemClock } from "../core/clock.ts";
import { type ModelSpec, modelKinds } from "../core/model.ts";
import { countTokens } from "../inference/count-tokens.ts";
import type { Stores } from "../store/stores.ts";
import type { Components } from "./components.ts";
import type { Current } from "./current.ts";

export function createConversations(
  current: Current,
  { inference }: Pick<Components, "inference">,
  { records: store }: Pick<Stores, "records">,
): Conversations {
  const counter: TokenCounter = async (model, texts, origin) =>
    !tokenizesHere(model)
      ? null
      : await countTokens(inference, texts, {
          ...origin,
          selector: { model: model.name, among: null },
          hops: [],
          cachePart: null,
        });
  return new Conversations({
    store,
    settings: () => current.config.conversations,
    now: () => systemClock.now(),
    countTokens: counter,
  });
}

const tokenizesHere = ({ kind, nodes, command, source }: ModelSpec): boolean =>
  modelKinds[kind].tokenizes && nodes === undefined && command === undefined && source.type !== "provider";
