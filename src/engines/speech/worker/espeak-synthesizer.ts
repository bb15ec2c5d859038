import { execa } from "execa";
import type { Voice } from "../../../core/engine.ts";
import { espeakVoices } from "../espeak.ts";
import { readWav } from "../wav.ts";
import type { Synthesizer } from "./synthesizer.ts";

/** espeak-ng's own speed, words a minute, and the bounds that it keeps. */
const WORDS_PER_MINUTE = 175;
const MIN_WORDS_PER_MINUTE = 80;
const MAX_WORDS_PER_MINUTE = 450;
/** Twenty minutes of speech: a sentence that has more is no sentence. */
const MAX_SOUND_BYTES = 64 * 2 ** 20;
const ONE_WORD = "One.";
/** `VOICE+VARIANT`, as espeak-ng has it: another speaker of the same language. */
const VARIANT = /^(?<voice>[^+]+)\+(?<variant>[A-Za-z0-9_-]{1,40})$/;

/** The system's espeak-ng: a process for each sentence, which takes milliseconds. */
export async function openEspeak(program: string): Promise<Synthesizer> {
  const voices = await espeakVoices(program);
  const [first] = voices;
  if (first === undefined) throw new Error(`${program} has no voices`);
  const variants = await listVariants(program);

  const run = async (text: string, { id }: Voice, speed: number, signal: AbortSignal) => {
    const wordsPerMinute = String(Math.round(WORDS_PER_MINUTE * speed));
    // Text on the input: in an argument it could be an option, and other users of the machine would see it.
    const { stdout } = await execa(program, ["-v", id, "-s", wordsPerMinute, "-b", "1", "--stdin", "--stdout"], {
      input: plain(text),
      encoding: "buffer",
      maxBuffer: MAX_SOUND_BYTES,
      cancelSignal: signal,
    });
    const sound = readWav(Buffer.from(stdout));
    if (sound === null) throw new Error(`${program} produced no audio`);
    return sound;
  };

  const { sampleRate } = await run(ONE_WORD, first, 1, AbortSignal.timeout(10_000));
  return {
    sampleRate,
    voices,
    speeds: { min: MIN_WORDS_PER_MINUTE / WORDS_PER_MINUTE, max: MAX_WORDS_PER_MINUTE / WORDS_PER_MINUTE },
    find(name) {
      const { voice = name, variant } = VARIANT.exec(name)?.groups ?? {};
      const found = voices.find(({ id, aliases }) => id === voice || aliases.includes(voice));
      if (found === undefined || (variant !== undefined && !variants.has(variant))) return null;
      return variant === undefined
        ? found
        : { ...found, id: `${found.id}+${variant}`, name: `${found.name}, ${variant}` };
    },
    async speak(sentence, voice, speed, signal) {
      return (await run(sentence, voice, speed, signal)).samples;
    },
  };
}

async function listVariants(program: string): Promise<ReadonlySet<string>> {
  const { stdout } = await execa(program, ["--voices=variant"], { stdin: "ignore", timeout: 10_000 });
  return new Set([...stdout.matchAll(/!v\/(\S+)/g)].map(([, name]) => name ?? ""));
}

/** `[[…]]` would be read as phonemes. */
const plain = (text: string): string => text.replaceAll("[[", "[ [");
