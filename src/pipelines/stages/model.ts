import type { StageSettings } from "../../config/schema/stages.ts";
import { spoken } from "../sentences.ts";
import type { Stage, StageContext } from "../stage.ts";

/** Asks a model of this daemon: each text is a question, whose answer goes to the client as it comes and on by sentences. */
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
        yield* spoken(context.models.chat(request), split);
      }
    },
  };
};
