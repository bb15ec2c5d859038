import type { Voice } from "../../core/engine.ts";
import type { SpeechSettings } from "../../core/model.ts";
import { readPiperVoice } from "../../core/piper-voice.ts";
import { espeakVoices } from "./espeak.ts";
import type { SpeechInstallation } from "./installation.ts";
import { piperSpeakers } from "./piper.ts";

/** The voices of a model. Rejects if the voice cannot be read; empty if espeak-ng is not installed. */
export async function listVoices(
  { backend, voice }: SpeechSettings,
  modelPath: string,
  { espeak }: SpeechInstallation,
): Promise<readonly Voice[]> {
  const all =
    backend === "sherpa-onnx"
      ? await piperVoices(modelPath)
      : espeak === null
        ? []
        : await espeakVoices(espeak.program);
  const listed = all.map(({ id, name, language }) => ({ id, name, language }));
  return [...listed.filter(({ id }) => id === voice), ...listed.filter(({ id }) => id !== voice)];
}

const piperVoices = async (file: string): Promise<readonly Voice[]> =>
  piperSpeakers((await readPiperVoice(file)).config);
