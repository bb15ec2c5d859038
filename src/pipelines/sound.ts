import { readWav, wavHeader } from "../engines/speech/wav.ts";

/** What clients get, whatever the stages make. */
export const SAMPLE_RATE = 24_000;
const BYTES = 2;
/** Valid sample rates. A file that claims one hertz would become 24,000 times as long. */
const MIN_RATE = 4_000;
const MAX_RATE = 384_000;

/** 16-bit samples in one channel at 24 kHz; null: it is not a WAV file of 16-bit samples. */
export function samplesOf(file: Uint8Array): Buffer | null {
  const wav = readWav(Buffer.from(file.buffer, file.byteOffset, file.byteLength));
  if (wav === null || wav.sampleRate < MIN_RATE || wav.sampleRate > MAX_RATE) return null;
  return resampled(wav.samples, wav.sampleRate);
}

/** A WAV file with its length. */
export const wavOf = (samples: Buffer): Buffer => Buffer.concat([wavHeader(SAMPLE_RATE, samples.length), samples]);

/** As clients get it: WAV files at 24 kHz, other formats as they are. */
export function clientSound(file: Uint8Array): Buffer {
  const samples = samplesOf(file);
  return samples === null ? Buffer.from(file) : wavOf(samples);
}

/** Linear interpolation: speech has little above what it loses. */
function resampled(samples: Buffer, rate: number): Buffer {
  if (rate === SAMPLE_RATE || samples.length === 0) return samples;
  const last = samples.length / BYTES - 1;
  const length = Math.max(1, Math.round(((last + 1) * SAMPLE_RATE) / rate));
  const out = Buffer.alloc(length * BYTES);
  for (let index = 0; index < length; index++) {
    const at = Math.min(last, (index * rate) / SAMPLE_RATE);
    const before = Math.floor(at);
    const one = samples.readInt16LE(before * BYTES);
    const other = samples.readInt16LE(Math.min(last, before + 1) * BYTES);
    out.writeInt16LE(Math.round(one + (other - one) * (at - before)), index * BYTES);
  }
  return out;
}
