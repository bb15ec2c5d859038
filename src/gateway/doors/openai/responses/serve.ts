import { isAssistantError } from "../../../../core/errors.ts";
import type { AnswerSink, InferenceCall, JsonObject } from "../../../../core/inference.ts";
import { resolveModel } from "../../../../inference/resolve.ts";
import { decodeBody, modelOf, parseBody, withoutCapability } from "../../../canonical/decode.ts";
import { serviceTiers } from "../../../canonical/field-table.ts";
import type { DecodedBody } from "../../../front/door.ts";
import { type ConversationPorts, continuationOf, unlessDeleted } from "../conversations/ports.ts";
import { ResponseAnswer } from "./answer.ts";
import { DetachedSink } from "./detached-sink.ts";
import { inClientsNames, type ResponseRequest, readRequest } from "./request.ts";
import { eventText, responseSink } from "./sink.ts";
import type { Responses, Running } from "./stored.ts";

export interface ResponsePorts extends ConversationPorts {
  /** Null: none is kept. */
  readonly responses: Responses | null;
}

/** `POST /v1/responses`. Throws `empty_body`, `invalid_json` or `invalid_request`. */
export function decodeResponse(bytes: Buffer, ports: ResponsePorts): DecodedBody {
  const asked = withoutCapability(parseBody(bytes));
  const { body } = asked;
  const { json } = body;
  const priority = serviceTiers[String(json["service_tier"])] ?? null;
  return {
    ...asked,
    model: modelOf(json),
    prompt: {},
    streamed: json["stream"] === true,
    maxTokens: null,
    ...(priority === null ? {} : { priority }),
    answer: (call, client) => serve(ports, json, call, client),
  };
}

async function serve(ports: ResponsePorts, json: JsonObject, asked: InferenceCall, client: AnswerSink): Promise<void> {
  const { inference, directory, responses } = ports;
  const { tenant } = asked.caller;
  const { conversation = null } = json;
  const continuation = conversation === null ? null : await continuationOf(asked, conversation, ports);
  const given = continuation?.call ?? asked;
  const request = await readRequest(json, responses?.historyOf(tenant) ?? null, continuation?.history ?? null);
  const { streamed, isBackground } = request;
  const { model: _, ...chat } = decodeBody("chat", Buffer.from(JSON.stringify(request.chat)));
  const call: InferenceCall = { ...given, ...chat, checked: () => named(request, () => chat.checked?.() ?? chat) };
  const events: string[] = [];
  const answer = answerOf(request, given.selector.model, (text) => events.push(text));
  if (isBackground && responses !== null) {
    // Nobody would see later what can be refused now.
    resolveModel(directory, call);
    const running = await responses.begin(tenant, request, answer, events);
    const sink = new DetachedSink(client, given.cancellation);
    await inference.run(
      { ...call, cancellation: running.cancellation, deadlineAt: null },
      backgroundSink(ports, running, sink),
    );
    return;
  }
  const taken = (): string => events.splice(0).join("");
  const keep = (): Promise<void> => kept(ports, tenant, request, answer);
  await inference.run(call, responseSink(client, { answer, streamed, isAccepted: false, taken, keep }));
}

/** Answers the client at once, and keeps whatever comes of the response. */
function backgroundSink(ports: ResponsePorts, running: Running, client: DetachedSink): AnswerSink {
  const { tenant, request, answer, events, watchers } = running;
  const { streamed } = request;
  let written = 0;
  const taken = (): string => {
    for (const watch of watchers) watch();
    const fresh = events.slice(written).join("");
    written = events.length;
    return fresh;
  };
  const keep = async (): Promise<void> => {
    try {
      await kept(ports, tenant, request, answer, streamed ? events : null);
    } finally {
      running.end();
    }
  };
  answer.created();
  if (streamed) client.open(taken());
  else client.answer(answer.response);
  return responseSink(client, { answer, streamed: true, isAccepted: true, taken, keep });
}

/** Keeps what has ended, and adds a turn that is complete to its conversation. */
async function kept(
  { responses, conversations }: ResponsePorts,
  tenant: string,
  request: ResponseRequest,
  answer: ResponseAnswer,
  events: readonly string[] | null = null,
): Promise<void> {
  const { conversationId, isStored, input } = request;
  const { output } = answer.response;
  const also = isStored && responses !== null ? [responses.keeping(tenant, request, answer, events)] : [];
  const isAdded =
    conversationId !== null &&
    conversations !== null &&
    answer.isAnswered &&
    (await unlessDeleted(conversations.append(tenant, conversationId, [...input, ...output], { also })));
  if (!isAdded && isStored) await responses?.keep(tenant, request, answer, events);
}

function answerOf(request: ResponseRequest, model: string, onEvent: (text: string) => void): ResponseAnswer {
  const { id, repeated, summarizes, input, streamed, isBackground } = request;
  return new ResponseAnswer({
    ...{ id, repeated, summarizes, model },
    createdAt: Math.floor(Date.now() / 1000),
    inputItems: input.length,
    ...(streamed || isBackground ? { onEvent: (event) => onEvent(eventText(event)) } : {}),
  });
}

function named<T>({ places }: ResponseRequest, check: () => T): T {
  try {
    return check();
  } catch (error) {
    throw isAssistantError(error) ? inClientsNames(error, places) : error;
  }
}
