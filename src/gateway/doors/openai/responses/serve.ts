import { isAssistantError } from "../../../../core/errors.ts";
import type { AnswerSink, InferenceCall, JsonObject } from "../../../../core/inference.ts";
import type { InferenceCore } from "../../../../inference/core.ts";
import { type ModelDirectory, resolveModel } from "../../../../inference/resolve.ts";
import { decodeBody, modelOf, parseBody, withoutCapability } from "../../../canonical/decode.ts";
import { serviceTiers } from "../../../canonical/field-table.ts";
import type { DecodedBody } from "../../../front/door.ts";
import { ResponseAnswer } from "./answer.ts";
import { DetachedSink } from "./detached-sink.ts";
import { inClientsNames, type ResponseRequest, readRequest } from "./request.ts";
import { eventText, responseSink } from "./sink.ts";
import type { Responses, Running } from "./stored.ts";

export interface ResponsePorts {
  readonly inference: InferenceCore;
  readonly directory: ModelDirectory;
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

async function serve(
  { inference, directory, responses }: ResponsePorts,
  json: JsonObject,
  given: InferenceCall,
  client: AnswerSink,
): Promise<void> {
  const { tenant } = given.caller;
  const request = await readRequest(json, responses?.historyOf(tenant) ?? null);
  const { streamed, isStored, isBackground } = request;
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
      backgroundSink(responses, running, sink),
    );
    return;
  }
  const taken = (): string => events.splice(0).join("");
  const keep = async (): Promise<void> => {
    if (isStored) await responses?.keep(tenant, request, answer);
  };
  await inference.run(call, responseSink(client, { answer, streamed, isAccepted: false, taken, keep }));
}

/** Answers the client at once, and keeps whatever comes of the response. */
function backgroundSink(responses: Responses, running: Running, client: DetachedSink): AnswerSink {
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
      await responses.keep(tenant, request, answer, streamed ? events : null);
    } finally {
      running.end();
    }
  };
  answer.created();
  if (streamed) client.open(taken());
  else client.answer(answer.response);
  return responseSink(client, { answer, streamed: true, isAccepted: true, taken, keep });
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
