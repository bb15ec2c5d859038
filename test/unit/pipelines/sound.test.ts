import { expect, test } from "vitest";
import { wavHeader } from "../../../src/engines/speech/wav.ts";
import { clientSound, samplesOf, wavOf } from "../../../src/pipelines/sound.ts";

const tone = (rate: number, seconds: number): Buffer => {
  const samples = Buffer.alloc(rate * seconds * 2);
  for (let index = 0; index < samples.length / 2; index++)
    samples.writeInt16LE(Math.round(10_000 * Math.sin((2 * Math.PI * 200 * index) / rate)), index * 2);
  return samples;
};
const wav = (rate: number, samples: Buffer): Buffer => Buffer.concat([wavHeader(rate, samples.length), samples]);

test.each([16_000, 22_050, 32_000, 48_000])("sound of %i Hz becomes the same sound at 24 kHz", (rate) => {
  const made = samplesOf(wav(rate, tone(rate, 1))) as Buffer;
  const wanted = tone(24_000, 1);
  expect(made.length).toBe(wanted.length);
  // The last sample has no neighbour to be between.
  for (let at = 0; at < made.length - 8; at += 2)
    expect(Math.abs(made.readInt16LE(at) - wanted.readInt16LE(at))).toBeLessThan(40);
});

test("a file states its length, even where the one it was made from did not", () => {
  const samples = tone(24_000, 1);
  const streamed = Buffer.concat([wavHeader(24_000, null), samples]);
  expect(clientSound(streamed)).toEqual(wavOf(samples));
});

test("other formats pass as they are", () => {
  const mp3 = Buffer.from("ID3 and more");
  expect(clientSound(mp3)).toEqual(mp3);
});

test.each([1, 2_000_000_000])("a file that claims %i Hz passes as it is, and becomes no longer", (rate) => {
  const file = wav(rate, Buffer.alloc(100));
  expect(clientSound(file)).toEqual(file);
  expect(samplesOf(file)).toBeNull();
});
