import type { Voice } from "../../../core/engine.ts";

/** Converts sentences to audio. */
export interface Synthesizer {
  /** Hz, of all voices. */
  readonly sampleRate: number;
  readonly voices: readonly Voice[];
  /** Factors of a voice's own speed that it can speak at. */
  readonly speeds: { readonly min: number; readonly max: number };
  /** The voice of this name, or null. */
  find(name: string): Voice | null;
  /**
   * Samples of one sentence: 16 bits, little-endian, one channel. Rejects with the signal's reason where it aborts, at
   * once or after the sentence.
   */
  speak(sentence: string, voice: Voice, speed: number, signal: AbortSignal): Promise<Buffer>;
}
