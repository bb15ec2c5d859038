import { chatTurn, continued } from "../../../../conversations/chat.ts";
import { AssistantError, isAssistantError } from "../../../../core/errors.ts";
import { type AnswerSink, bodyOf, type InferenceCall, type JsonObject } from "../../../../core/inference.ts";
import { decodedBody } from "../../../canonical/decode.ts";
import { checkMessages, messages as messageList } from "../../../canonical/messages.ts";
import { invalid, mustBe } from "../../../canonical/rules.ts";
import type { DecodedBody } from "../../../front/door.ts";
import { KeptSink } from "../../../front/kept-sink.ts";
import { translatedSink } from "../../../front/translated-sink.ts";
import { ResponseAnswer } from "../responses/answer.ts";
import { newResponseId } from "../responses/ids.ts";
import { type ConversationPorts, continuationOf, unlessDeleted } from "./ports.ts";

/** A chat that continues a conversation: its history precedes the messages, and they and the answer are added to it. */
export const inConversation = (decoded: DecodedBody, ports: ConversationPorts): DecodedBody => ({
  ...decoded,
  answer: (call, client) => serve(call, decoded.translate?.(client) ?? client, ports),
});

async function serve(given: InferenceCall, client: AnswerSink, ports: ConversationPorts): Promise<void> {
  const { conversation, messages, ...rest } = given.body.json;
  const { n = null } = rest;
  if (n !== null && n !== 1) throw invalid("n", 'A conversation goes on with one answer: the field "n" must be 1.');
  const turn = chatTurn(checkedMessages(messages ?? []));
  const { id, call, history } = await continuationOf(given, conversation, ports);
  const { systemPrompt, items } = turn;
  const before = await history({ added: items, systemPrompt, tools: rest["tools"], maxTokens: given.maxTokens });
  const chat = continued(before, turn);
  const { checked, ...body } = decodedBody("chat", bodyOf({ ...rest, messages: chat.messages }));
  const answer = new ResponseAnswer({
    ...{ id: newResponseId(), createdAt: 0, model: "", repeated: {}, summarizes: false, inputItems: 0 },
  });
  const keep = async (): Promise<void> => {
    const added = [...items, ...answer.response.output];
    const adding = ports.conversations?.append(call.caller.tenant, id, added, { systemPrompt, isTurn: true });
    await unlessDeleted(Promise.resolve(adding));
  };
  const { model: _, ...rewritten } = body;
  await ports.inference.run(
    { ...call, ...rewritten, checked: () => aboutHistory(() => checked?.() ?? rewritten) },
    answerSink(client, call.streamed, answer, keep),
  );
}

function checkedMessages(messages: unknown): readonly JsonObject[] {
  mustBe(messageList, messages, "messages");
  const list = messages as readonly JsonObject[];
  if (list.length === 0) return list;
  const { messages: checked } = checkMessages({ messages: list });
  for (const [index, { role, tool_call_id: id }] of (checked as readonly JsonObject[]).entries())
    if (role === "function" || (role === "tool" && typeof id !== "string"))
      throw invalid(
        `messages[${index}]`,
        `messages[${index}] must be the result of a tool, with the role "tool" and a "tool_call_id".`,
      );
  return checked as readonly JsonObject[];
}

/** The client's own messages were checked, so an error is in the conversation. */
function aboutHistory<T>(check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (!isAssistantError(error) || error.param?.startsWith("messages") !== true) throw error;
    const { code, message, remedy } = error;
    throw new AssistantError(code, `The conversation cannot be continued: ${message}`, {
      param: "conversation",
      ...(remedy === null ? {} : { remedy }),
      cause: error,
    });
  }
}

/** Passes an answer on unchanged, and stores it before its end. */
const answerSink = (
  client: AnswerSink,
  streamed: boolean,
  answer: ResponseAnswer,
  keep: () => Promise<void>,
): AnswerSink =>
  translatedSink(new KeptSink(client, { streamed, keep }), streamed, {
    streamType: "text/event-stream",
    chunk(chunk) {
      answer.chunk(chunk);
      return `data: ${JSON.stringify(chunk)}\n\n`;
    },
    end() {
      answer.finish();
      return "data: [DONE]\n\n";
    },
    whole(whole) {
      answer.whole(whole);
      answer.finish();
      return whole;
    },
  });
