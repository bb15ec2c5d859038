import type { Voice } from "../../core/engine.ts";
import type { PiperConfig } from "../../core/piper-voice.ts";

/** A speaker of a Piper voice. */
export interface PiperSpeaker extends Voice {
  readonly speaker: number;
}

/** The speakers of a Piper voice: one, by the name of its recordings, or several, each with a name. */
export function piperSpeakers({
  speaker_id_map: names = {},
  num_speakers: count,
  dataset,
  language,
}: PiperConfig): readonly PiperSpeaker[] {
  const code = language?.code?.replace("_", "-") ?? null;
  const named = Object.entries(names);
  if (count > 1 && named.length > 0)
    return named
      .map(([id, speaker]) => ({ id, name: id, language: code, speaker }))
      .sort((a, b) => a.speaker - b.speaker);
  return Array.from({ length: Math.max(1, count) }, (_, speaker) => {
    const id = count > 1 || dataset === undefined ? String(speaker) : dataset;
    return { id, name: id, language: code, speaker };
  });
}
