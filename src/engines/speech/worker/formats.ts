import { spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { Duplex, PassThrough } from "node:stream";
import { wavHeader } from "../wav.ts";
import { Resampler } from "./resample.ts";

type FormatName = "wav" | "pcm" | "mp3" | "opus" | "flac" | "aac";

/** What is encoded: 16-bit samples in one channel. */
interface Samples {
  readonly sampleRate: number;
  /** Bytes of all of them; null where that is not known yet. */
  readonly bytes: number | null;
}

/** An audio format, and how samples are encoded. */
export interface Format {
  readonly contentType: string;
  /** Takes samples, emits encoded audio, and ends with it. Its errors are errors of the stream. */
  encoder(samples: Samples, signal: AbortSignal): Duplex;
}

/** Of OpenAI's `pcm`. */
const PCM_RATE = 24_000;

interface Encoder {
  readonly format: FormatName;
  readonly program: string;
  readonly args: (sampleRate: string) => readonly string[];
}

const ffmpeg = (format: FormatName, ...output: readonly string[]): Encoder => ({
  format,
  program: "ffmpeg",
  args: (rate) => [
    ...["-hide_banner", "-loglevel", "error", "-f", "s16le", "-ar", rate, "-ac", "1", "-i", "pipe:0"],
    ...output,
    "pipe:1",
  ],
});

/** Programs that encode, the first one found is used. They read samples from their input and write to their output. */
const ENCODERS: readonly Encoder[] = [
  {
    format: "mp3",
    program: "lame",
    args: (rate) => [
      "--quiet",
      "-r",
      "-s",
      String(Number(rate) / 1000),
      "--signed",
      "--bitwidth",
      "16",
      "-m",
      "m",
      "-",
      "-",
    ],
  },
  ffmpeg("mp3", "-c:a", "libmp3lame", "-f", "mp3"),
  {
    format: "opus",
    program: "opusenc",
    args: (rate) => ["--quiet", "--raw", "--raw-bits", "16", "--raw-rate", rate, "--raw-chan", "1", "-", "-"],
  },
  ffmpeg("opus", "-c:a", "libopus", "-f", "ogg"),
  {
    format: "flac",
    program: "flac",
    args: (rate) => [
      ...["--silent", "--stdout", "--force-raw-format", "--endian=little", "--sign=signed", "--channels=1", "--bps=16"],
      ...[`--sample-rate=${rate}`, "-"],
    ],
  },
  ffmpeg("flac", "-c:a", "flac", "-f", "flac"),
  ffmpeg("aac", "-c:a", "aac", "-f", "adts"),
];

const CONTENT_TYPES: Readonly<Record<FormatName, string>> = {
  wav: "audio/wav",
  pcm: "audio/pcm",
  mp3: "audio/mpeg",
  opus: "audio/ogg",
  flac: "audio/flac",
  aac: "audio/aac",
};

/** Names of programs that would make each format that needs one, for messages. */
export const encodersFor = (format: string): readonly string[] =>
  ENCODERS.filter((encoder) => encoder.format === format).map(({ program }) => program);

/** The formats that this machine can make, by name. `pathVariable`: where programs are looked for. */
export function findFormats(pathVariable: string): ReadonlyMap<string, Format> {
  const found = new Map<string, Format>([
    ["wav", { contentType: CONTENT_TYPES.wav, encoder: wavEncoder }],
    ["pcm", { contentType: CONTENT_TYPES.pcm, encoder: ({ sampleRate }) => new Resampler(sampleRate, PCM_RATE) }],
  ]);
  for (const encoder of ENCODERS) {
    const program = found.has(encoder.format) ? null : findProgram(encoder.program, pathVariable);
    if (program === null) continue;
    found.set(encoder.format, {
      contentType: CONTENT_TYPES[encoder.format],
      encoder: ({ sampleRate }, signal) => run(program, encoder.args(String(sampleRate)), signal),
    });
  }
  return found;
}

function wavEncoder({ sampleRate, bytes }: Samples): Duplex {
  const stream = new PassThrough();
  stream.write(wavHeader(sampleRate, bytes));
  return stream;
}

function findProgram(name: string, pathVariable: string): string | null {
  const places = pathVariable.split(delimiter).filter((folder) => folder !== "");
  return places.map((folder) => join(folder, name)).find(isExecutable) ?? null;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** A program between its input and its output. One that fails breaks the stream. */
function run(program: string, args: readonly string[], signal: AbortSignal): Duplex {
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"], signal, killSignal: "SIGKILL" });
  const stream = Duplex.from({ writable: child.stdin, readable: child.stdout });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(-500);
  });
  // Aborted deliberately, or it could not be run.
  child.once("error", (error) => stream.destroy(error));
  child.once("exit", (code) => {
    if (code !== 0) stream.destroy(new Error(`${program} ended with ${code ?? "a signal"}: ${said.trim()}`));
  });
  return stream;
}
