import { AssistantError } from "../../../core/errors.ts";
import { bodyOf, type JsonObject } from "../../../core/inference.ts";
import { parseWorkerInput, type WorkerMessage } from "../../../core/worker.ts";
import type { Workers } from "../../../workers/registry.ts";
import { checkContentType, decodedBody, parseBody } from "../../canonical/decode.ts";
import type { DecodedBody, InferenceRoute } from "../../front/door.ts";
import { type AnswerTranslator, translatedSink } from "../../front/translated-sink.ts";
import { type Fields, formFields, historyField, isForm, nameField, textField, userOrNobody } from "./fields.ts";

const PATH = "/v1.0/chat/completions";
const EVENT_STREAM = "text/event-stream";

/** Calls the worker reserved for a chat. Its text is streamed as it arrives, without events. */
export const chatRoute = (workers: Workers): InferenceRoute => ({
  path: PATH,
  name: PATH,
  operation: "chat",
  wire: "openai.chat",
  describe: {
    summary: "Ask the worker that was reserved for a chat",
    description: "The answer is the worker's text as it arrives; empty if no worker is reserved.",
    body: CHAT_BODY,
    bodyType: "application/x-www-form-urlencoded",
    answers: { [EVENT_STREAM]: { type: "string" } },
  },
  checkHeaders(headers) {
    if (!isForm(headers["content-type"])) checkContentType(headers);
  },
  decode(bytes, headers, _, { tenant }) {
    const fields = isForm(headers["content-type"]) ? formFields(bytes.toString()) : parseBody(bytes).json;
    return decoded(fields, tenant, workers);
  },
});

const CHAT_BODY = {
  type: "object",
  properties: {
    name: { type: "string" },
    input: { type: "string", description: 'The chat so far, as JSON: [{"isbot": false, "msg": "Hello"}].' },
    history_id: { type: "string" },
    user_id: { type: "string" },
  },
  required: ["name", "input", "history_id"],
};

function decoded(fields: Fields, tenant: string, workers: Workers): DecodedBody {
  const name = nameField(fields);
  const chat = { name, tenant, historyId: historyField(fields), userId: userOrNobody(fields) };
  const reservation = workers.reservationOf(chat);
  const messages = messagesOf(textField(fields, "input"));
  const body = decodedBody("chat", bodyOf({ model: name, messages, stream: true }));
  if (reservation === null)
    return {
      ...body,
      async answer(_, client) {
        client.head(200, ["Content-Type", EVENT_STREAM]);
        client.end();
      },
    };
  if (reservation.isUsed) throw new AssistantError("worker_busy", "Processing another request");
  return {
    ...body,
    reservation: reservation.key,
    translate: (client) => translatedSink(client, true, plainText),
  };
}

function messagesOf(input: string): object[] {
  const history = parseWorkerInput(input);
  if (history === null) throw new AssistantError("invalid_request", "Bad request", { param: "input" });
  if ((history.at(-1)?.msg ?? "") === "")
    throw new AssistantError("invalid_request", "I didn't see your input!", { param: "input" });
  return history.map(({ isbot, msg, role }: WorkerMessage) => ({
    role: isbot ? "assistant" : (role ?? "user"),
    content: msg,
  }));
}

const plainText: AnswerTranslator = {
  streamType: EVENT_STREAM,
  comments: false,
  chunk: ({ choices }) => contentOf(choices),
  end: () => "",
  // Every answer of this door is a stream.
  whole: (answer) => answer,
};

function contentOf(choices: unknown): string {
  const [choice] = (choices ?? []) as readonly { readonly delta?: JsonObject }[];
  const content = choice?.delta?.["content"];
  return typeof content === "string" ? content : "";
}
