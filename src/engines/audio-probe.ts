import { Payload, parseAnswer } from "./call.ts";
import { wavHeader } from "./speech/wav.ts";

/** A test request for audio. `ask`: with the server's own name of the model, if it needs one. */
interface AudioProbe {
  readonly path: string;
  ask(model?: string): object | Payload;
  answered(body: string): boolean;
}

/** A real sentence. */
export const speechProbe: AudioProbe = {
  path: "/v1/audio/speech",
  ask: (model) => ({ ...(model === undefined ? {} : { model }), input: "One, two, three.", response_format: "wav" }),
  // A header alone is not speech.
  answered: (body) => body.startsWith("RIFF") && body.length > 1_000,
};

/** A second of silence. The transcript is irrelevant; that there is one is not. */
export const transcriptionProbe: AudioProbe = {
  path: "/v1/audio/transcriptions",
  ask: (model) => recording(silence(), model),
  answered: (body) => typeof (parseAnswer(body) as { text?: unknown } | null)?.text === "string",
};

function recording(wav: Buffer, model: string | undefined): Payload {
  const boundary = "assistant-probe";
  const part = (name: string): string => `--${boundary}\r\nContent-Disposition: form-data; name="${name}"`;
  const named = model === undefined ? "" : `${part("model")}\r\n\r\n${model}\r\n`;
  const head = `${named}${part("file")}; filename="silence.wav"\r\nContent-Type: audio/wav\r\n\r\n`;
  return new Payload(
    `multipart/form-data; boundary=${boundary}`,
    Buffer.concat([Buffer.from(head), wav, Buffer.from(`\r\n--${boundary}--\r\n`)]),
  );
}

function silence(): Buffer {
  const rate = 16_000;
  const bytes = 2 * rate;
  return Buffer.concat([wavHeader(rate, bytes), Buffer.alloc(bytes)]);
}
