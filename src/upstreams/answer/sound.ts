import { answerTrailers } from "../../api/headers.ts";
import { type AnswerFacts, NO_FACTS } from "../../core/upstream.ts";

/** Content types of audio and transcripts, in addition to JSON and events. */
export const SOUND_TYPES = /^(?:audio\/|text\/(?:plain|vtt|srt)\b|application\/(?:ogg|octet-stream|x-subrip)\b)/;

/** Rate of raw samples, which have no header: 16 bits, 24 kHz, one channel, as in OpenAI's API. */
const PCM_BYTES_PER_SECOND = 48_000;
const WAV_HEADER_BYTES = 44;
const BYTE_RATE_AT = 28;
/** Maximum length of the inspected beginning: of a WAV file the header, of a transcript the duration. */
const OPENING_BYTES = 1024;

/** Measures the duration of audio in an answer, or of the recording as stated by a transcript. */
export class SoundMeter {
  readonly #contentType: string;
  #opening: Buffer = Buffer.alloc(0);
  #bytes = 0;

  constructor(contentType: string) {
    this.#contentType = contentType;
  }

  push(bytes: Buffer): void {
    this.#bytes += bytes.length;
    if (this.#opening.length < OPENING_BYTES)
      this.#opening = Buffer.concat([this.#opening, bytes.subarray(0, OPENING_BYTES - this.#opening.length)]);
  }

  /** `tail`: the last bytes of the answer. `trailers`: its trailer lines. */
  facts(tail: Buffer, trailers: ReadonlyMap<string, string> | undefined): AnswerFacts {
    const stated = Number(trailers?.get(answerTrailers.audioSeconds) ?? Number.NaN);
    const seconds = Number.isFinite(stated) ? stated : this.#measured(tail);
    return seconds === null ? NO_FACTS : { ...NO_FACTS, audioSeconds: seconds };
  }

  #measured(tail: Buffer): number | null {
    if (this.#contentType.startsWith("application/json"))
      return secondsIn(tail.toString("latin1")) ?? secondsIn(this.#opening.toString("latin1"));
    if (this.#contentType.startsWith("audio/pcm")) return this.#bytes / PCM_BYTES_PER_SECOND;
    if (this.#opening.length < WAV_HEADER_BYTES || this.#opening.toString("latin1", 0, 4) !== "RIFF") return null;
    const rate = this.#opening.readUInt32LE(BYTE_RATE_AT);
    return rate === 0 ? null : (this.#bytes - WAV_HEADER_BYTES) / rate;
  }
}

/** OpenAI's `usage.seconds`, or `duration` of the verbose format. */
function secondsIn(json: string): number | null {
  const found = /"(?:seconds|duration)": ?([\d.]+)/.exec(json)?.[1];
  return found === undefined || !Number.isFinite(Number(found)) ? null : Number(found);
}
