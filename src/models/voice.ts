import { AssistantError } from "../core/errors.ts";
import { OnnxProblem } from "../core/onnx-metadata.ts";
import { readPiperVoice } from "../core/piper-voice.ts";

/** Whether a file holds a voice, by its name. */
export const isVoiceFile = (file: string): boolean => file.toLowerCase().endsWith(".onnx");

/** Throws `model_invalid` for a file that is no whole Piper voice. `shownAs` is what messages call it. */
export async function checkVoice(file: string, shownAs = file): Promise<void> {
  try {
    await readPiperVoice(file);
  } catch (error) {
    if (!(error instanceof OnnxProblem)) throw error;
    throw new AssistantError("model_invalid", `${shownAs} cannot be used as a Piper voice: ${error.message}.`, {
      remedy: "Get both files of the voice again, NAME.onnx and NAME.onnx.json, and keep them in one folder.",
      cause: error,
    });
  }
}
