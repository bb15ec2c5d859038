import { isAssistantError } from "../../../../core/errors.ts";
import { bodyOf, type InferenceCall } from "../../../../core/inference.ts";
import { decodedBody } from "../../../canonical/decode.ts";
import { ResponseAnswer } from "./answer.ts";
import { inClientsNames, type ResponseRequest } from "./request.ts";
import { eventText } from "./sink.ts";

/**
 * The answer to a request, before any of it exists. `onEvent` receives its stream's events as they are written, if
 * there may be a stream.
 */
export function newAnswer(
  { id, repeated, summarizes, customTools, namespaced, input, streamed, isBackground }: ResponseRequest,
  model: string,
  createdAt: number,
  onEvent: (text: string) => void,
): ResponseAnswer {
  return new ResponseAnswer({
    ...{ id, repeated, summarizes, customTools, namespaced, model, createdAt },
    inputItems: input.length,
    ...(streamed || isBackground ? { onEvent: (event) => onEvent(eventText(event)) } : {}),
  });
}

/** A request as a chat call. `checked` throws with the client's names of fields. */
export function chatOf(
  request: ResponseRequest,
): Pick<InferenceCall, "body" | "checked" | "prompt" | "streamed" | "maxTokens"> {
  const { model: _, ...chat } = decodedBody("chat", bodyOf(request.chat));
  return { ...chat, checked: () => named(request, () => chat.checked?.() ?? chat) };
}

function named<T>({ places }: ResponseRequest, check: () => T): T {
  try {
    return check();
  } catch (error) {
    throw isAssistantError(error) ? inClientsNames(error, places) : error;
  }
}
