import { seededRandom } from "../../test/support/random.ts";
import { streamChat, type Target } from "../workloads/stream.ts";
import { type ChatTurn, chatBody, prose, whole } from "./probes.ts";

/** More agents than slots, which take turns; they have a long beginning in common, or none. */
export interface AgentsMix {
  readonly agents: number;
  readonly turns: number;
  readonly sharedBytes: number;
  readonly ownBytes: number;
  readonly answerTokens: number;
}

export interface AgentsFigures {
  /** Prompt tokens of later turns that were not in the turn before it or its answer. */
  readonly newTokens: number;
  /** Prompt tokens of later turns that the engine computed. */
  readonly prefilled: number;
}

/** One request after the other, so that what is cached depends on the engine's choices alone. */
export async function replayAgents(
  target: Target,
  { agents, turns, sharedBytes, ownBytes, answerTokens }: AgentsMix,
): Promise<AgentsFigures> {
  const random = seededRandom(3);
  const shared: ChatTurn[] = sharedBytes > 0 ? [{ role: "system", content: prose(30_000, sharedBytes, random) }] : [];
  const histories = Array.from({ length: agents }, () => ({ turns: shared, known: 0 }));
  let [newTokens, prefilled] = [0, 0];
  for (let turn = 0; turn < turns; turn++) {
    for (const [agent, history] of histories.entries()) {
      history.turns = [
        ...history.turns,
        { role: "user", content: prose(31_000 + 100 * agent + turn, ownBytes, random) },
      ];
      const seen = whole(await streamChat(target, chatBody(history.turns, answerTokens)));
      if (turn > 0) {
        newTokens += seen.promptTokens - history.known;
        prefilled += seen.promptTokens - seen.cachedTokens;
      }
      history.turns = [...history.turns, { role: "assistant", content: seen.content }];
      history.known = seen.promptTokens + seen.completionTokens;
    }
  }
  return { newTokens, prefilled };
}
