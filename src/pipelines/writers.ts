import { AssistantError } from "../core/errors.ts";
import type { InferenceCall, JsonObject } from "../core/inference.ts";
import { wavHeader } from "../engines/speech/wav.ts";
import { asksUsage } from "../upstreams/openai-body.ts";
import { clientSound, SAMPLE_RATE, samplesOf, wavOf } from "./sound.ts";
import type { ClientPart } from "./stage.ts";

/** Writes the answer of one run in a wire format. */
export interface AnswerWriter {
  readonly contentType: string;
  /** What a part becomes at once; null: nothing. */
  part(part: ClientPart): Buffer | null;
  /** What follows the last part. */
  end(): Buffer;
}

export const EVENTS = "text/event-stream";
const JSON_TYPE = "application/json; charset=utf-8";

/** A part as the pipelines' own format has it. */
export function frameOf({ type, chunk }: ClientPart): { readonly type: string; readonly chunk: unknown } {
  if (type === "audio") return { type: "audio/wav", chunk: clientSound(bytesOf(chunk)).toString("base64") };
  return { type, chunk: chunk instanceof Uint8Array ? Buffer.from(chunk).toString("base64") : chunk };
}

export const END_FRAME = { type: "end", chunk: "[DONE]" };

const eventOf = (data: unknown): Buffer => Buffer.from(`data: ${JSON.stringify(data)}\n\n`);

/** Frames as events. */
export const frameEvents = (): AnswerWriter => ({
  contentType: EVENTS,
  part: (part) => eventOf(frameOf(part)),
  end: () => eventOf(END_FRAME),
});

/** Of all parts of an answer that is not a stream. */
const MAX_WHOLE_BYTES = 64 * 2 ** 20;

/** Keeps all parts, and makes one answer of them. Throws `stage_failed` where they are more than fit in one piece. */
function wholeAnswer(make: (parts: readonly ClientPart[]) => object): AnswerWriter {
  const parts: ClientPart[] = [];
  let bytes = 0;
  return {
    contentType: JSON_TYPE,
    part(part) {
      bytes += sizeOf(part);
      if (bytes > MAX_WHOLE_BYTES)
        throw new AssistantError("stage_failed", `The answer has more than ${MAX_WHOLE_BYTES / 2 ** 20} MiB.`, {
          remedy: "Ask for a stream.",
        });
      parts.push(part);
      return null;
    },
    end: () => Buffer.from(JSON.stringify(make(parts))),
  };
}

const sizeOf = ({ chunk }: ClientPart): number =>
  chunk instanceof Uint8Array || typeof chunk === "string" ? chunk.length : (JSON.stringify(chunk)?.length ?? 0);

/** All frames in one object: texts joined, audio in one file. */
export const frameObject = (): AnswerWriter =>
  wholeAnswer((parts) => {
    const text = textIn(parts);
    const sound = soundIn(parts);
    const joined = [
      ...(text === "" ? [] : [{ type: "text", chunk: text }]),
      ...(sound === null ? [] : [{ type: "audio", chunk: sound }]),
      ...parts.filter(({ type }) => !TEXTS.has(type) && type !== "audio"),
    ];
    return { status: "success", data: joined.map(frameOf) };
  });

/** A chat's request for audio, in addition to text. */
interface ChatAudio {
  readonly format: "wav" | "pcm16";
}

/** Throws `invalid_request`. Null: only text. */
function audioAsked({ body: { json }, streamed }: InferenceCall): ChatAudio | null {
  const { modalities, audio } = json;
  if (!Array.isArray(modalities) || !modalities.includes("audio")) return null;
  const format = (audio as JsonObject | null | undefined)?.["format"] ?? (streamed ? "pcm16" : "wav");
  if (format === "wav" || format === "pcm16") return { format };
  throw new AssistantError(
    "invalid_request",
    `"audio.format" must be "wav" or "pcm16"; found ${JSON.stringify(format)}.`,
    {
      param: "audio.format",
    },
  );
}

/** OpenAI's chat: text, and audio if the client requests it. */
export function chatWriter(call: InferenceCall, model: string): AnswerWriter {
  const audio = audioAsked(call);
  const head = { id: `chatcmpl-${call.id}`, created: Math.floor(Date.now() / 1000), model };
  return call.streamed ? chatEvents(head, audio, asksUsage(call)) : chatObject(head, audio);
}

interface ChatHead {
  readonly id: string;
  readonly created: number;
  readonly model: string;
}

function chatEvents(head: ChatHead, audio: ChatAudio | null, usage: boolean): AnswerWriter {
  const chunk = (delta: JsonObject, finish: string | null = null): Buffer =>
    eventOf({
      ...head,
      object: "chat.completion.chunk",
      choices: [{ index: 0, delta, finish_reason: finish }],
    });
  const audioId = `audio_${head.id}`;
  let begun = false;
  const opening = (): Buffer[] => {
    if (begun) return [];
    begun = true;
    return [chunk({ role: "assistant", content: "" })];
  };
  return {
    contentType: EVENTS,
    part: (part) => {
      const delta = deltaOf(part, audio, audioId);
      return delta === null ? null : Buffer.concat([...opening(), chunk(delta)]);
    },
    end: () => {
      const last = [...opening(), chunk({}, "stop")];
      if (usage) last.push(eventOf({ ...head, object: "chat.completion.chunk", choices: [], usage: NO_USAGE }));
      return Buffer.concat([...last, Buffer.from("data: [DONE]\n\n")]);
    },
  };
}

/** The models of its stages are counted separately. */
const NO_USAGE = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 };

function deltaOf(part: ClientPart, audio: ChatAudio | null, id: string): JsonObject | null {
  const { type, chunk } = part;
  if (TEXTS.has(type)) return chunk === "" ? null : { content: textOf(part) };
  if (type !== "audio" || audio === null) return null;
  return { audio: { id, data: soundAs(audio, bytesOf(chunk)).toString("base64") } };
}

const chatObject = (head: ChatHead, audio: ChatAudio | null): AnswerWriter =>
  wholeAnswer((parts) => {
    const content = textIn(parts);
    const sound = audio === null ? null : soundIn(parts);
    const spoken = audio !== null && sound !== null && { audio: spokenAs(audio, sound, head, content) };
    const message = { role: "assistant", content, ...spoken };
    const choices = [{ index: 0, message, finish_reason: "stop" }];
    return { ...head, object: "chat.completion", choices, usage: NO_USAGE };
  });

const spokenAs = (audio: ChatAudio, sound: Uint8Array, { id, created }: ChatHead, transcript: string): JsonObject => ({
  id: `audio_${id}`,
  data: soundAs(audio, sound).toString("base64"),
  // Nothing is kept.
  expires_at: created,
  transcript,
});

/** OpenAI's speech: only the audio. Throws `invalid_request`. */
export function speechWriter({ body: { json } }: InferenceCall): AnswerWriter {
  const { response_format: format = "wav", stream_format: streamFormat } = json;
  if (streamFormat === "sse")
    throw new AssistantError("invalid_request", 'A pipeline speaks with "stream_format" "audio" alone.', {
      param: "stream_format",
    });
  if (format !== "wav" && format !== "pcm")
    throw new AssistantError(
      "invalid_request",
      `"response_format" must be "wav" or "pcm" of a pipeline; found ${JSON.stringify(format)}.`,
      { param: "response_format" },
    );
  let begun = format === "pcm";
  return {
    contentType: format === "pcm" ? "audio/pcm" : "audio/wav",
    part: ({ type, chunk }) => {
      if (type !== "audio") return null;
      const samples = soundAs({ format: "pcm16" }, bytesOf(chunk));
      if (begun) return samples;
      begun = true;
      return Buffer.concat([wavHeader(SAMPLE_RATE, null), samples]);
    },
    end: () => (begun ? Buffer.alloc(0) : wavHeader(SAMPLE_RATE, 0)),
  };
}

/** What clients of other formats see as text. */
const TEXTS: ReadonlySet<string> = new Set(["text", "json"]);
const textOf = ({ type, chunk }: ClientPart): string => (type === "json" ? JSON.stringify(chunk) : String(chunk));
const textIn = (parts: readonly ClientPart[]): string =>
  parts
    .filter(({ type }) => TEXTS.has(type))
    .map(textOf)
    .join("");

/** One file of all sounds; null: there is none. */
function soundIn(parts: readonly ClientPart[]): Buffer | null {
  const sounds = parts.filter(({ type }) => type === "audio").map(({ chunk }) => bytesOf(chunk));
  const [first] = sounds;
  if (first === undefined) return null;
  if (sounds.length === 1) return Buffer.from(first);
  return wavOf(Buffer.concat(sounds.map((sound) => soundAs({ format: "pcm16" }, sound))));
}

function soundAs({ format }: ChatAudio, file: Uint8Array): Buffer {
  const samples = samplesOf(file);
  if (samples === null)
    throw new AssistantError(
      "stage_failed",
      "A stage produced audio that is not a WAV file of 16-bit samples in one channel.",
      {
        remedy: "Have the stage produce WAV, or use /pipelines/NAME/input, which passes audio through unchanged.",
      },
    );
  return format === "wav" ? wavOf(samples) : samples;
}

function bytesOf(chunk: unknown): Uint8Array {
  if (chunk instanceof Uint8Array) return chunk;
  throw new AssistantError("stage_failed", 'A stage wrote something of the type "audio" that is not bytes.', {
    remedy: "Use a Uint8Array with the bytes of an audio file.",
  });
}
