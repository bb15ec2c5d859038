import { readFile } from "node:fs/promises";
import { encodeOnnxMetadata, OnnxProblem, readOnnxMetadata } from "./onnx-metadata.ts";

/** The used parts of `NAME.onnx.json` next to a Piper voice. */
export interface PiperConfig {
  readonly audio: { readonly sample_rate: number };
  readonly espeak: { readonly voice: string };
  readonly phoneme_id_map: Readonly<Record<string, readonly number[]>>;
  readonly num_speakers: number;
  readonly speaker_id_map?: Readonly<Record<string, number>>;
  readonly inference?: { readonly noise_scale?: number; readonly noise_w?: number; readonly length_scale?: number };
  readonly language?: { readonly code?: string; readonly name_english?: string };
  readonly dataset?: string;
}

/** Where a voice that is one file keeps its config. */
const CONFIG_KEY = "piper_config";
export const MAX_PIPER_CONFIG_BYTES = 4 * 2 ** 20;

export const piperConfigFile = (voiceFile: string): string => `${voiceFile}.json`;

/** The config of a Piper voice: inside the file, or next to it. Rejects with `OnnxProblem` if it cannot be used. */
export async function readPiperVoice(
  file: string,
): Promise<{ readonly config: PiperConfig; readonly isOneFile: boolean }> {
  const within = (await readOnnxMetadata(file)).get(CONFIG_KEY);
  if (within !== undefined) return { config: parsePiperConfig(within), isOneFile: true };
  const beside = await readFile(piperConfigFile(file), "utf8").catch(() => null);
  if (beside === null) throw new OnnxProblem(`its config ${piperConfigFile(file)} does not exist`);
  return { config: parsePiperConfig(beside), isOneFile: false };
}

/** Reads and checks a config. Throws `OnnxProblem`. */
export function parsePiperConfig(text: string): PiperConfig {
  const parsed = text.length >= MAX_PIPER_CONFIG_BYTES ? null : jsonOf(text);
  const { audio, espeak, phoneme_id_map: phonemes, num_speakers: speakers, speaker_id_map: names = {} } = parsed ?? {};
  const isVoice =
    Number.isInteger(audio?.sample_rate) &&
    typeof espeak?.voice === "string" &&
    Number.isInteger(speakers) &&
    isMap(phonemes, (ids) => Array.isArray(ids) && Number.isInteger(ids[0])) &&
    isMap(names, Number.isInteger);
  if (!isVoice) throw new OnnxProblem("its config is not that of a Piper voice");
  return parsed as PiperConfig;
}

/**
 * What makes a Piper voice one file when it is appended: the metadata that sherpa-onnx reads, and the whole config.
 * Throws
 * `OnnxProblem`.
 */
export function piperMetadata(configText: string): Buffer {
  const { language, espeak, num_speakers: speakers, audio } = parsePiperConfig(configText);
  return encodeOnnxMetadata(
    new Map([
      ["model_type", "vits"],
      ["comment", "piper"],
      ["language", language?.name_english ?? "unknown"],
      ["voice", espeak.voice],
      ["has_espeak", "1"],
      ["n_speakers", String(speakers)],
      ["sample_rate", String(audio.sample_rate)],
      [CONFIG_KEY, configText],
    ]),
  );
}

function jsonOf(text: string): Partial<PiperConfig> | null {
  try {
    return JSON.parse(text) as Partial<PiperConfig> | null;
  } catch {
    return null;
  }
}

const isMap = (value: unknown, passes: (item: unknown) => boolean): boolean =>
  typeof value === "object" && value !== null && Object.values(value).every(passes);
