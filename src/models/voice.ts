import { AssistantError } from "../core/errors.ts";
import { OnnxProblem } from "../core/onnx-metadata.ts";
import { piperConfigFile, piperMetadata, readPiperVoice } from "../core/piper-voice.ts";

/** Whether a file holds a voice, by its name. */
export const isVoiceFile = (file: string): boolean => file.toLowerCase().endsWith(".onnx");

/** The Piper voices among these paths: those whose config is there too. */
export const voicesAmong = (files: readonly string[]): string[] =>
  files.filter((file) => isVoiceFile(file) && files.includes(piperConfigFile(file)));

/** Throws `model_invalid` for a file that is no whole Piper voice. `shownAs` is what messages call it. */
export async function checkVoice(file: string, shownAs = file): Promise<void> {
  await readPiperVoice(file).catch((error: unknown) => {
    throw invalidVoice(error, shownAs);
  });
}

/** What a voice's config adds to its file, which is then whole without it. Throws `model_invalid`. */
export function voicePart(configText: string, shownAs: string): Buffer {
  try {
    return piperMetadata(configText);
  } catch (error) {
    throw invalidVoice(error, shownAs);
  }
}

function invalidVoice(error: unknown, shownAs: string): unknown {
  if (!(error instanceof OnnxProblem)) return error;
  return new AssistantError("model_invalid", `${shownAs} cannot be used as a Piper voice: ${error.message}.`, {
    remedy: "Get both files of the voice again, NAME.onnx and NAME.onnx.json, and keep them in one folder.",
    cause: error,
  });
}
