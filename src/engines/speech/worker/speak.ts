import type { ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import { answerTrailers } from "../../../api/headers.ts";
import type { Voice } from "../../../core/engine.ts";
import { invalid } from "../../node-llama-cpp/worker/errors.ts";
import { type Body, numberOf, textOf } from "../../node-llama-cpp/worker/fields.ts";
import type { SpeechWorkerConfig } from "./config.ts";
import { encodersFor, type Format } from "./formats.ts";
import { sentencesOf } from "./sentences.ts";
import type { Synthesizer } from "./synthesizer.ts";

export interface Speaker {
  readonly config: SpeechWorkerConfig;
  readonly synthesizer: Synthesizer;
  readonly formats: ReadonlyMap<string, Format>;
}

/** A request that was checked. */
interface Order {
  readonly sentences: readonly string[];
  readonly voice: Voice;
  readonly speed: number;
  readonly format: Format;
  readonly isEvents: boolean;
  readonly characters: number;
}

const BYTES_PER_SAMPLE = 2;

/** Checks a request. Throws `SurfaceError` naming the field. */
export function orderOf(body: Body, { config, synthesizer, formats }: Speaker): Order {
  const input = textOf(body, "input") ?? "";
  const sentences = sentencesOf(input);
  if (sentences.length === 0) throw invalid("Field 'input': must be a string with something to speak");
  const { maxInputCharacters: most } = config;
  if (input.length > most)
    throw invalid(
      `Field 'input': must have at most ${most} characters (max_input_characters), but has ${input.length}`,
    );
  if ((textOf(body, "instructions") ?? "") !== "")
    throw invalid("Field 'instructions': not supported by this engine. Omit it, and choose a voice and a speed");
  const speed = config.speed * (numberOf(body, "speed") ?? 1);
  const { min, max } = synthesizer.speeds;
  if (speed < min || speed > max)
    throw invalid(
      `Field 'speed': must be from ${shown(min / config.speed)} to ${shown(max / config.speed)} for this model`,
    );
  return {
    sentences,
    voice: voiceOf(textOf(body, "voice") ?? "", config, synthesizer),
    speed,
    format: formatOf(textOf(body, "response_format") ?? "wav", formats),
    isEvents: textOf(body, "stream_format") === "sse",
    characters: input.length,
  };
}

const shown = (factor: number): string => String(Math.round(factor * 100) / 100);

function voiceOf(asked: string, config: SpeechWorkerConfig, { voices, find }: Synthesizer): Voice {
  const name = asked === "" || asked === "default" ? config.voice : asked;
  const found = name === "" ? voices[0] : find(name);
  if (found) return found;
  const some = voices.slice(0, 10).map(({ id }) => id);
  const more = voices.length > some.length ? " and others" : "";
  throw invalid(
    `Field 'voice': must be ${some.join(", ")}${more}, or "default"; ${JSON.stringify(name.slice(0, 60))} is none of this model's voices`,
  );
}

function formatOf(name: string, formats: ReadonlyMap<string, Format>): Format {
  const found = formats.get(name);
  if (found !== undefined) return found;
  const programs = encodersFor(name);
  const missing = programs.length === 0 ? "" : `; install ${programs.join(" or ")} for ${name}`;
  throw invalid(`Field 'response_format': must be ${[...formats.keys()].join(", ")} on this machine${missing}`);
}

/**
 * Speaks sentence by sentence into the response, as fast as the client takes it. `spoken` is called with the samples of
 * each.
 */
export async function speak(
  order: Order,
  { synthesizer }: Speaker,
  response: ServerResponse,
  signal: AbortSignal,
  spoken: (samples: number) => void,
): Promise<void> {
  const { sentences, voice, speed, format } = order;
  const { sampleRate } = synthesizer;
  let bytes = 0;
  const say = async (sentence: string): Promise<Buffer> => {
    const samples = await synthesizer.speak(sentence, voice, speed, signal);
    bytes += samples.length;
    spoken(samples.length / BYTES_PER_SAMPLE);
    return samples;
  };
  // Before the head: what fails now can still be an error that the client understands.
  const [first = "", ...rest] = sentences;
  const opening = await say(first);
  response.writeHead(200, {
    "content-type": order.isEvents ? "text/event-stream" : format.contentType,
    "cache-control": "no-cache",
    trailer: answerTrailers.audioSeconds,
  });
  const samples = async function* (): AsyncGenerator<Buffer> {
    yield opening;
    for (const sentence of rest) yield await say(sentence);
  };
  const encoder = format.encoder({ sampleRate, bytes: rest.length === 0 ? opening.length : null }, signal);
  const seconds = (): number => bytes / BYTES_PER_SAMPLE / sampleRate;
  if (order.isEvents) await pipeline(samples, encoder, eventsOf(order), response, { signal, end: false });
  else await pipeline(samples, encoder, response, { signal, end: false });
  response.addTrailers({ [answerTrailers.audioSeconds]: seconds().toFixed(3) });
  response.end();
}

/** OpenAI's events: one per part of the audio, and the end. */
const eventsOf = ({ characters }: Order) =>
  async function* (sound: AsyncIterable<Buffer>): AsyncGenerator<string> {
    for await (const part of sound) yield event({ type: "speech.audio.delta", audio: part.toString("base64") });
    // Nothing here is counted in tokens; clients expect the fields.
    const usage = { input_tokens: 0, output_tokens: 0, total_tokens: 0, input_characters: characters };
    yield event({ type: "speech.audio.done", usage });
  };

const event = (data: object): string => `data: ${JSON.stringify(data)}\n\n`;
