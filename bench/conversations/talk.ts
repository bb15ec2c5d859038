import { seededRandom } from "../../test/support/random.ts";
import { quantile } from "../lib/statistics.ts";
import { type Shape, turnOrder } from "../sim/shapes/shape.ts";
import { type ChatTurn, chatBody } from "../stub/probes.ts";
import { streamChat, type Target } from "../workloads/stream.ts";

/** What one shape came to. */
export interface Talked {
  /** Of later turns: tokens computed as a multiple of those that no earlier turn had. */
  readonly prefilledOfNeeded: number;
  readonly ttftP50Ms: number;
  readonly ttftP99Ms: number;
  readonly spanMs: number;
  readonly requests: number;
}

interface Conversation {
  readonly messages: ChatTurn[];
  turns: number;
  /** Tokens of its last prompt and answer, which the next prompt begins with. */
  known: number;
  busy: boolean;
}

const WORDS =
  "time year people way day man thing woman life child world school state family student group country problem hand part place case week company system program question work government number night point home water room mother area money story fact month lot right study book eye job word business issue side kind head house service friend father power hour game line end member law car city community name president team minute idea body information back parent face others level office door health person art war history party result change morning reason research girl guy moment air teacher force education".split(
    " ",
  );
/** Of these words, with the space before each. */
const TOKENS_PER_WORD = 1.1;

/**
 * Holds the shape's conversations: always so many requests at once, a conversation's next turn after its last answer.
 * The same words in every run of a shape.
 */
export async function talk(target: Target, shape: Shape): Promise<Talked> {
  const order = turnOrder(shape);
  const shared = shape.shared === 0 ? [] : [{ role: "system", content: prose(shape.shared, seededRandom(shape.seed)) }];
  const conversations = Array.from(
    { length: shape.conversations },
    (): Conversation => ({ messages: [...shared], turns: 0, known: 0, busy: false }),
  );
  const ttfts: number[] = [];
  let [prefilled, needed] = [0, 0];
  const waiting: (() => void)[] = [];
  /**
   * Takes the next turn in order whose conversation is free, and makes it busy before any other client looks; waits
   * where there is none yet.
   */
  const next = async (): Promise<number | null> => {
    while (order.length > 0) {
      const at = order.findIndex((index) => conversations[index]?.busy === false);
      const [index] = at < 0 ? [] : order.splice(at, 1);
      const conversation = index === undefined ? undefined : conversations[index];
      if (index !== undefined && conversation !== undefined) {
        conversation.busy = true;
        return index;
      }
      await new Promise<void>((resolve) => waiting.push(resolve));
    }
    return null;
  };
  const client = async (): Promise<void> => {
    for (let index = await next(); index !== null; index = await next()) {
      const conversation = conversations[index];
      if (conversation === undefined) throw new Error(`there is no conversation ${index}`);
      const [before, turn] = [conversation.known, conversation.turns];
      const random = seededRandom(shape.seed + 1000 * index + turn + 1);
      conversation.messages.push({
        role: "user",
        content: prose(turn === 0 ? shape.firstMessage : shape.laterMessage, random),
      });
      const startedAt = performance.now();
      const seen = await streamChat(target, chatBody(conversation.messages, shape.answer));
      if (!seen.complete || seen.error !== null)
        throw new Error(`conversation ${index} got no answer: ${seen.status} ${seen.error}`);
      conversation.messages.push({ role: "assistant", content: seen.content });
      ttfts.push((seen.tokenTimes[0] ?? seen.endedAt) - startedAt);
      if (turn > 0) {
        prefilled += seen.promptTokens - seen.cachedTokens;
        needed += Math.max(1, seen.promptTokens - before);
      }
      Object.assign(conversation, { known: seen.promptTokens + seen.completionTokens, turns: turn + 1, busy: false });
      for (const wake of waiting.splice(0)) wake();
    }
    for (const wake of waiting.splice(0)) wake();
  };
  const beganAt = performance.now();
  await Promise.all(Array.from({ length: shape.atOnce }, client));
  ttfts.sort((a, b) => a - b);
  const times = {
    ttftP50Ms: quantile(ttfts, 0.5),
    ttftP99Ms: quantile(ttfts, 0.99),
    spanMs: performance.now() - beganAt,
  };
  return { prefilledOfNeeded: prefilled / needed, ...times, requests: ttfts.length };
}

function prose(tokens: number, random: () => number): string {
  const count = Math.max(1, Math.round(tokens / TOKENS_PER_WORD));
  return Array.from({ length: count }, () => WORDS[Math.floor(random() * WORDS.length)]).join(" ");
}
