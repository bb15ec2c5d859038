import { buffer } from "node:stream/consumers";
import { expect, test } from "vitest";
import { parsePiperConfig } from "../../../../src/core/piper-voice.ts";
import { parseVoices } from "../../../../src/engines/speech/espeak.ts";
import { piperSpeakers } from "../../../../src/engines/speech/piper.ts";
import { readWav, wavHeader } from "../../../../src/engines/speech/wav.ts";
import { encodersFor, findFormats } from "../../../../src/engines/speech/worker/formats.ts";
import { Resampler } from "../../../../src/engines/speech/worker/resample.ts";
import { sentencesOf } from "../../../../src/engines/speech/worker/sentences.ts";
import { SpeechSlots } from "../../../../src/engines/speech/worker/slots.ts";
import { piperConfig } from "../../../support/onnx.ts";

const tone = (samples: number, every: number): Buffer => {
  const bytes = Buffer.alloc(samples * 2);
  for (let index = 0; index < samples; index++)
    bytes.writeInt16LE(Math.round(10_000 * Math.sin((2 * Math.PI * index) / every)), index * 2);
  return bytes;
};

test("a text is spoken sentence by sentence, without what has nothing to speak", () => {
  expect(sentencesOf("Hello there.  How are\nyou? — … ! Fine.\n\nA new line")).toEqual([
    "Hello there.",
    "How are you? — … !",
    "Fine.",
    "A new line",
  ]);
  expect(sentencesOf("… ?! —\n\n")).toEqual([]);
});

test("a long sentence ends at marks, else between words, else anywhere but within a character", () => {
  const clauses = sentencesOf(`${"word ".repeat(40)}end, ${"more ".repeat(40)}`);
  expect(clauses[0]).toMatch(/end,$/);
  const words = sentencesOf("word ".repeat(200));
  expect(words.every((part) => part.length <= 300 && /^word.*word$/.test(part))).toBe(true);
  const solid = sentencesOf("𝐚".repeat(400));
  expect(solid.join("")).toBe("𝐚".repeat(400));
  expect(solid.every((part) => part.isWellFormed())).toBe(true);
});

test("espeak-ng's table becomes voices by language, without those that need MBROLA", () => {
  const table = [
    "Pty Language       Age/Gender VoiceName          File                 Other Languages",
    " 5  af              --/M      Afrikaans          gmw/af               ",
    " 2  en-gb           --/M      English_(Great_Britain) gmw/en               (en 2)",
    " 5  en-us           --/M      us-mbrola-2        mb/mb-us2            (en 7)",
    " 2  en-us           --/M      English_(America)  gmw/en-US            (en 3)",
    "",
  ].join("\n");
  expect(parseVoices(table)).toEqual([
    { id: "af", name: "Afrikaans", language: "af", aliases: [] },
    { id: "en-gb", name: "English (Great Britain)", language: "en-gb", aliases: ["en"] },
    { id: "en-us", name: "English (America)", language: "en-us", aliases: ["en"] },
  ]);
});

test("a Piper voice has one speaker by the name of its recordings, or those that it names", () => {
  expect(piperSpeakers(parsePiperConfig(piperConfig()))).toEqual([
    { id: "joe", name: "joe", language: "en-US", speaker: 0 },
  ]);
  const several = parsePiperConfig(piperConfig({ num_speakers: 2, speaker_id_map: { p2: 1, p1: 0 } }));
  expect(piperSpeakers(several).map(({ id, speaker }) => [id, speaker])).toEqual([
    ["p1", 0],
    ["p2", 1],
  ]);
  const unnamed = parsePiperConfig(piperConfig({ num_speakers: 2, dataset: "vctk" }));
  expect(piperSpeakers(unnamed).map(({ id }) => id)).toEqual(["0", "1"]);
});

test("a WAV file is read back, also where it does not know its length", () => {
  const samples = tone(100, 10);
  for (const length of [samples.length, null]) {
    const read = readWav(Buffer.concat([wavHeader(22_050, length), samples]));
    expect(read?.sampleRate).toBe(22_050);
    expect(read?.samples.equals(samples)).toBe(true);
  }
  expect(readWav(Buffer.from("no sound at all, but long enough to hold the header of one"))).toBeNull();
});

test("changing the rate keeps length and tone, however the samples come in", async () => {
  const samples = tone(22_050, 50);
  const resampler = new Resampler(22_050, 24_000);
  const made = buffer(resampler);
  for (let at = 0; at < samples.length; at += 1001) resampler.write(samples.subarray(at, at + 1001));
  resampler.end();
  const out = await made;
  expect(out.length / 2).toBeGreaterThan(23_990);
  expect(out.length / 2).toBeLessThan(24_010);
  let crossings = 0;
  for (let at = 2; at < out.length; at += 2) if (out.readInt16LE(at - 2) < 0 && out.readInt16LE(at) >= 0) crossings++;
  // 441 Hz for one second.
  expect(Math.abs(crossings - 441)).toBeLessThanOrEqual(1);
});

test("without an encoder on the PATH there are wav and pcm, and every other format names programs that would make it", () => {
  expect([...findFormats("/nowhere").keys()]).toEqual(["wav", "pcm"]);
  for (const format of ["mp3", "opus", "flac", "aac"]) expect(encodersFor(format)).toContain("ffmpeg");
  expect(encodersFor("wma")).toEqual([]);
});

test("slots are given in order, and a waiter that leaves takes none", async () => {
  const slots = new SpeechSlots(1);
  const stay = new AbortController().signal;
  const held = await slots.acquire(stay);
  const leaving = new AbortController();
  const left = slots.acquire(leaving.signal);
  const next = slots.acquire(stay);
  leaving.abort(new Error("gone"));
  await expect(left).rejects.toThrow("gone");
  slots.release(held);
  expect((await next).task).toBe(2);
});
