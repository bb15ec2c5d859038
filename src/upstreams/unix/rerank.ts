import type { Endpoint } from "../../core/endpoint.ts";
import type { AnswerSink } from "../../core/inference.ts";
import { type AnswerFacts, NO_FACTS, type Sending } from "../../core/upstream.ts";
import { deliver } from "../answer/delivery.ts";
import { type Ranked, RankingReceiver, rankedAnswer, rankingsOf } from "../answer/ranking.ts";
import { receiverFor } from "../answer/receivers.ts";
import { pathOf } from "../openai-body.ts";
import { encodeRequest, openExchange, retryLost } from "./exchange.ts";

/**
 * Has llama-server rank the texts of a call, and answers in the call's own wire format. Same contract as
 * `Upstream.send`.
 */
export async function sendRerank(endpoint: Endpoint, sending: Sending, sink: AnswerSink): Promise<AnswerFacts> {
  const { call, headers } = sending;
  const target = { sink, headers, model: sending.model.name, operation: call.operation };
  const results: Ranked[] = [];
  let promptTokens: number | null = null;
  let model: unknown;
  for (const { query, documents, places } of rankingsOf(call)) {
    const asked = Buffer.from(JSON.stringify({ model: call.body.json["model"], query, documents }));
    const bytes = encodeRequest(pathOf["jina.rerank"], asked, true);
    const taken: { receiver: RankingReceiver | null } = { receiver: null };
    await deliver({
      ...{ sending, sink, retryAfter: retryLost },
      open: (delivery) =>
        openExchange({ endpoint, bytes, reusable: true }, delivery, (head) => {
          if (head.status !== 200) return receiverFor(head, target);
          taken.receiver = new RankingReceiver(target.model, head.framing);
          return taken.receiver;
        }),
    });
    const answer = taken.receiver?.answer;
    if (answer === null || answer === undefined) continue;
    model = answer.model;
    if (answer.promptTokens !== null) promptTokens = (promptTokens ?? 0) + answer.promptTokens;
    for (const { index, relevance_score } of answer.results)
      results.push({ index: places[index] ?? index, relevance_score });
  }
  const json = Buffer.from(JSON.stringify(rankedAnswer(call, { model, promptTokens, results })));
  sink.head(200, ["Content-Type", "application/json; charset=utf-8", ...headers], json.length);
  sink.end(json);
  return { ...NO_FACTS, promptTokens };
}
