import type { StageSettings } from "../../config/schema/stages.ts";
import type { JsonObject } from "../../core/inference.ts";
import { spoken } from "../sentences.ts";
import type { Stage, StageContext } from "../stage.ts";

/**
 * Asks a model of this daemon: each text is a question, whose answer goes to the client as it comes and on by
 * sentences.
 */
export const modelStage = ({ model, system, split = true, options }: StageSettings["model"]): Stage => {
  const messagesFor = (text: string, { messages }: StageContext): readonly unknown[] => {
    const asked = messages ?? [{ role: "user", content: text }];
    return system === undefined ? asked : [{ role: "system", content: system }, ...asked];
  };
  return {
    accepts: "text",
    emits: "text",
    asksModel: true,
    async *run(input, context) {
      for await (const text of input) {
        const request = { ...options, ...context.generation, model, messages: messagesFor(String(text), context) };
        yield* spoken(answered(request, context), split);
      }
    },
  };
};

async function* answered(
  request: JsonObject & { readonly model: string },
  { models, memory }: StageContext,
): AsyncGenerator<string, void> {
  if (memory === null) return yield* models.chat(request);
  let answer = "";
  for await (const piece of models.chat({ ...(await memory.continued(request)), model: request.model })) {
    answer += piece;
    yield piece;
  }
  // Before the client has its end, so that the next request finds it.
  await memory.keep(request, answer);
}
