import { type AnswerSink, bodyOf, type JsonObject } from "../../../core/inference.ts";
import { decodeBody, decodedBody } from "../../canonical/decode.ts";
import { serviceTiers } from "../../canonical/field-table.ts";
import type { DecodedBody } from "../../front/door.ts";
import { translatedSink } from "../../front/translated-sink.ts";
import { inConversation } from "./conversations/chat.ts";
import type { ConversationPorts } from "./conversations/ports.ts";

/** `POST /v1/chat/completions`. Throws as `decodeBody` does. */
export function decodeChat(bytes: Buffer, ports: ConversationPorts): DecodedBody {
  const decoded = decodeBody("chat", bytes);
  const { service_tier: tier, conversation } = decoded.body.json;
  const tiered = typeof tier === "string" ? inTier(decoded, tier) : decoded;
  return conversation === undefined || conversation === null ? tiered : inConversation(tiered, ports);
}

function inTier(decoded: DecodedBody, asked: string): DecodedBody {
  const priority = serviceTiers[asked] ?? null;
  const tier = asked === "auto" ? "default" : asked;
  return {
    ...decoded,
    ...(priority === null ? {} : { priority }),
    // Providers report which one it was.
    translate: (client) => editedSink(client, decoded.streamed, (answer) => ({ service_tier: tier, ...answer })),
  };
}

/** `POST /v1/completions`. Throws as `decodeBody` does. */
export function decodeCompletion(bytes: Buffer): DecodedBody {
  const decoded = decodeBody("completion", bytes);
  const { echo, prompt, logprobs = null, n = 1, ...rest } = decoded.body.json;
  const prompts = [prompt].flat();
  // Without the token ids and probabilities of the prompt, they cannot be put before those of the answer.
  if (echo !== true || logprobs !== null || !prompts.every((text) => typeof text === "string")) return decoded;
  const plain = decodedBody("completion", bodyOf({ ...rest, prompt, n }));
  return {
    ...decoded,
    ...plain,
    translate: (client) => editedSink(client, plain.streamed, echoing(prompts, typeof n === "number" ? n : 1)),
  };
}

interface Choice {
  readonly index?: number;
  readonly text?: string;
}

/** Prepends each prompt to the first text of its answers. */
function echoing(prompts: readonly string[], answersEach: number): (answer: JsonObject) => JsonObject {
  const begun = new Set<number>();
  return (answer) => {
    const { choices } = answer as { readonly choices?: readonly Choice[] };
    if (choices === undefined) return answer;
    const echoed = choices.map((choice) => {
      const { index = 0, text = "" } = choice;
      if (begun.has(index)) return choice;
      begun.add(index);
      return { ...choice, text: (prompts[Math.floor(index / answersEach)] ?? "") + text };
    });
    return { ...answer, choices: echoed };
  };
}

/** A sink for an answer of OpenAI's API that changes each object on its way. */
const editedSink = (client: AnswerSink, streamed: boolean, edit: (answer: JsonObject) => JsonObject): AnswerSink =>
  translatedSink(client, streamed, {
    streamType: "text/event-stream",
    chunk: (chunk) => `data: ${JSON.stringify(edit(chunk))}\n\n`,
    end: () => "data: [DONE]\n\n",
    whole: edit,
  });
