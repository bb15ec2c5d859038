import { appendFile, copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type PiperConfig, piperConfigFile, piperMetadata, readPiperVoice } from "../../../core/piper-voice.ts";
import { type PiperSpeaker, piperSpeakers } from "../piper.ts";
import type { BackendConfig } from "./config.ts";
import type { Synthesizer } from "./synthesizer.ts";

type SherpaConfig = Extract<BackendConfig, { type: "sherpa-onnx" }>;

/** The part of sherpa-onnx-node that is used; the package has no types. */
interface Sherpa {
  readonly OfflineTts: {
    createAsync(config: object): Promise<SherpaVoice>;
  };
}
interface SherpaVoice {
  readonly sampleRate: number;
  generateAsync(order: {
    readonly text: string;
    readonly sid: number;
    readonly speed: number;
  }): Promise<{ readonly samples: Float32Array }>;
}

/** Piper's own, where a voice does not say. */
const NOISE_SCALE = 0.667;
const NOISE_WIDTH = 0.8;
const LOUDEST = 32_767;

/** A Piper voice on sherpa-onnx, in this process; it computes on separate threads. */
export async function openSherpa(config: SherpaConfig, threads: number): Promise<Synthesizer> {
  const { config: piper, isOneFile } = await readPiperVoice(config.modelPath);
  const voice = await load(config, piper, isOneFile, threads);
  const speakers = piperSpeakers(piper);
  return {
    sampleRate: voice.sampleRate,
    voices: speakers,
    speeds: { min: 0.25, max: 4 },
    find: (name) => speakers.find(({ id }) => id === name) ?? null,
    async speak(sentence, { id }, speed, signal) {
      signal.throwIfAborted();
      const { speaker } = speakers.find((one) => one.id === id) as PiperSpeaker;
      const { samples } = await voice.generateAsync({ text: sentence, sid: speaker, speed });
      // A sentence cannot be interrupted; audio that is no longer needed is not worth converting.
      signal.throwIfAborted();
      return toInt16(samples);
    },
  };
}

/** sherpa-onnx only reads files, and only while loading. */
async function load(
  config: SherpaConfig,
  piper: PiperConfig,
  isOneFile: boolean,
  threads: number,
): Promise<SherpaVoice> {
  const sherpa = createRequire(import.meta.url)("sherpa-onnx-node") as Sherpa;
  const folder = await mkdtemp(join(tmpdir(), "assistant-voice-"));
  try {
    const tokens = join(folder, "tokens.txt");
    await writeFile(tokens, tokensOf(piper));
    const model = isOneFile ? config.modelPath : await joined(config.modelPath, folder);
    const {
      noise_scale: noise = NOISE_SCALE,
      noise_w: width = NOISE_WIDTH,
      length_scale: length = 1,
    } = piper.inference ?? {};
    return await sherpa.OfflineTts.createAsync({
      model: {
        vits: {
          model,
          tokens,
          dataDir: config.phonemeData,
          noiseScale: config.temperature ?? noise,
          noiseScaleW: width,
          lengthScale: length,
        },
        numThreads: threads,
        provider: "cpu",
        debug: false,
      },
      maxNumSentences: 1,
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function joined(modelPath: string, folder: string): Promise<string> {
  const copy = join(folder, "voice.onnx");
  await copyFile(modelPath, copy);
  await appendFile(copy, piperMetadata(await readFile(piperConfigFile(modelPath), "utf8")));
  return copy;
}

/** A line for each phoneme: the symbol and its number. */
const tokensOf = ({ phoneme_id_map: ids }: PiperConfig): string =>
  Object.entries(ids)
    .map(([symbol, [id]]) => `${symbol} ${id}\n`)
    .join("");

function toInt16(samples: Float32Array): Buffer {
  const bytes = Buffer.allocUnsafe(samples.length * 2);
  for (let index = 0; index < samples.length; index++) {
    const level = Math.max(-1, Math.min(1, samples[index] as number));
    bytes.writeInt16LE(Math.round(level * LOUDEST), index * 2);
  }
  return bytes;
}
