import type { StageSettings } from "../../config/schema/stages.ts";
import { AssistantError } from "../../core/errors.ts";
import type { JsonObject } from "../../core/inference.ts";
import { answerFrom, requireAnswer, timeoutMsOf } from "../service.ts";
import type { Stage } from "../stage.ts";

const SERVICE = "GPT-SoVITS";

/**
 * Has GPT-SoVITS speak each text, in the voice of a recording that the settings, or a request's `voice` and `emotion`,
 * name.
 */
export function gptSovitsStage(settings: StageSettings["gpt-sovits"]): Stage {
  const base = settings.url.replace(/\/+$/, "");
  return {
    accepts: "text",
    emits: "audio",
    async *run(input, { options, signal }) {
      const reference = referenceOf(settings, options);
      for await (const text of input) {
        const chunk = await answerFrom({
          service: SERVICE,
          url: `${base}/tts`,
          body: {
            text,
            text_lang: settings.text_lang ?? "zh",
            ...reference,
            prompt_lang: settings.ref_lang ?? "zh",
            media_type: "wav",
            streaming_mode: false,
          },
          timeoutMs: timeoutMsOf(settings),
          signal,
        });
        yield { client: { type: "audio", chunk }, next: chunk };
      }
    },
    heartbeat: () => requireAnswer(SERVICE, base),
  };
}

/** Throws `invalid_request` for a voice or an emotion that there is not. */
function referenceOf(
  { voices = {}, ref_audio: audio, ref_text: text }: StageSettings["gpt-sovits"],
  { voice, emotion }: JsonObject,
): { readonly ref_audio_path: string; readonly prompt_text: string } {
  if (voice === undefined && audio !== undefined) return { ref_audio_path: audio, prompt_text: text ?? "" };
  const emotions = entry(voices, voice ?? Object.keys(voices)[0], "voice");
  const found = entry(emotions, emotion ?? Object.keys(emotions)[0], "emotion");
  return { ref_audio_path: found.ref_audio, prompt_text: found.ref_text ?? "" };
}

function entry<Value>(table: Readonly<Record<string, Value>>, name: unknown, what: string): Value {
  if (typeof name === "string" && Object.hasOwn(table, name)) return table[name] as Value;
  const names = Object.keys(table).map((each) => JSON.stringify(each));
  const known = names.length === 0 ? "the pipeline names none" : `expected one of ${names.join(", ")}`;
  throw new AssistantError("invalid_request", `"TTS.${what}": ${known}; found ${JSON.stringify(name ?? null)}.`, {
    param: `TTS.${what}`,
  });
}
