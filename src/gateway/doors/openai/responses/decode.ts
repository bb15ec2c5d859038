import { isAssistantError } from "../../../../core/errors.ts";
import { decodeBody, parseBody } from "../../../canonical/decode.ts";
import type { DecodedBody } from "../../../front/door.ts";
import { ResponseAnswer } from "./answer.ts";
import { inClientsNames, type ResponseRequest, readRequest } from "./request.ts";
import { eventText, responseSink } from "./sink.ts";

/** `POST /v1/responses`. Rejects with `empty_body`, `invalid_json` or `invalid_request`; `checked` throws the latter. */
export async function decodeResponse(bytes: Buffer): Promise<DecodedBody> {
  const request = await readRequest(parseBody(bytes).json, null);
  const { checked, ...decoded } = decodeBody("chat", Buffer.from(JSON.stringify(request.chat)));
  return {
    ...decoded,
    checked: () => named(request, () => checked?.() ?? decoded),
    ...(request.priority === null ? {} : { priority: request.priority }),
    translate: (client) => {
      let events = "";
      const answer = answerOf(request, decoded.model, (text) => {
        events += text;
      });
      const taken = (): string => {
        const text = events;
        events = "";
        return text;
      };
      return responseSink(client, { answer, streamed: request.streamed, taken, keep: async () => {} });
    },
  };
}

function answerOf(request: ResponseRequest, model: string, onEvent: (text: string) => void): ResponseAnswer {
  const { id, repeated, summarizes, input, streamed } = request;
  return new ResponseAnswer({
    ...{ id, repeated, summarizes, model },
    createdAt: Math.floor(Date.now() / 1000),
    inputItems: input.length,
    ...(streamed ? { onEvent: (event) => onEvent(eventText(event)) } : {}),
  });
}

function named<T>(request: ResponseRequest, check: () => T): T {
  try {
    return check();
  } catch (error) {
    throw isAssistantError(error) ? inClientsNames(error, request.places) : error;
  }
}
