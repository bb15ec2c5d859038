/** What streams say of a length that is not known yet. */
const UNKNOWN_LENGTH = 0xff_ff_ff_ff;
const BYTES_PER_SAMPLE = 2;
const HEADER_BYTES = 44;

/** The header of a WAV file of 16-bit samples in one channel. `dataBytes` null: a stream, which ends where it ends. */
export function wavHeader(sampleRate: number, dataBytes: number | null): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.write("RIFF", 0, "latin1");
  header.writeUInt32LE(dataBytes === null ? UNKNOWN_LENGTH : HEADER_BYTES - 8 + dataBytes, 4);
  header.write("WAVEfmt ", 8, "latin1");
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(sampleRate, 24);
  header.writeUInt32LE(sampleRate * BYTES_PER_SAMPLE, 28);
  header.writeUInt16LE(BYTES_PER_SAMPLE, 32);
  header.writeUInt16LE(8 * BYTES_PER_SAMPLE, 34);
  header.write("data", 36, "latin1");
  header.writeUInt32LE(dataBytes ?? UNKNOWN_LENGTH, 40);
  return header;
}

/**
 * The samples of such a file, which may state another length than it has. Null: it is not one of 16-bit samples in one
 * channel.
 */
export function readWav(file: Buffer): { readonly sampleRate: number; readonly samples: Buffer } | null {
  const isWav = file.length >= HEADER_BYTES && file.toString("latin1", 0, 4) === "RIFF";
  if (!isWav || file.readUInt16LE(20) !== 1 || file.readUInt16LE(22) !== 1 || file.readUInt16LE(34) !== 16) return null;
  const sampleRate = file.readUInt32LE(24);
  for (let at = 12; at + 8 <= file.length; ) {
    const length = file.readUInt32LE(at + 4);
    if (file.toString("latin1", at, at + 4) === "data") {
      const samples = file.subarray(at + 8, Math.min(file.length, at + 8 + length));
      return { sampleRate, samples: samples.subarray(0, samples.length - (samples.length % BYTES_PER_SAMPLE)) };
    }
    at += 8 + length;
  }
  return null;
}
