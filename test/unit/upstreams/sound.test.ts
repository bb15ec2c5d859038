import { expect, test } from "vitest";
import type { InferenceCall } from "../../../src/core/inference.ts";
import { wavHeader } from "../../../src/engines/speech/wav.ts";
import { decodeForm } from "../../../src/gateway/canonical/form.ts";
import { SoundMeter } from "../../../src/upstreams/answer/sound.ts";
import { contentTypeOf, encodeBody } from "../../../src/upstreams/openai-body.ts";

const measured = (type: string, parts: readonly Buffer[], trailers = new Map<string, string>()): number | undefined => {
  const meter = new SoundMeter(type);
  for (const part of parts) meter.push(part);
  return meter.facts(parts.at(-1) ?? Buffer.alloc(0), trailers).audioSeconds;
};

test("the length of a sound is that of its samples, or what the engine says behind it", () => {
  const header = wavHeader(16_000, null);
  expect(measured("audio/wav", [header.subarray(0, 10), header.subarray(10), Buffer.alloc(16_000)])).toBe(0.5);
  expect(measured("audio/pcm", [Buffer.alloc(24_000)])).toBe(0.5);
  expect(measured("audio/mpeg", [Buffer.alloc(24_000, 255)])).toBeUndefined();
  expect(measured("audio/mpeg", [Buffer.alloc(9)], new Map([["x-audio-seconds", "1.25"]]))).toBe(1.25);
});

test("a transcript says how much was heard", () => {
  const plain = Buffer.from('{"text":"Hi","usage":{"type":"duration","seconds":3}}');
  expect(measured("application/json", [plain])).toBe(3);
  const verbose = Buffer.from(`{"task":"transcribe","duration":2.5,"text":"${"long ".repeat(4000)}"}`);
  expect(measured("application/json", [verbose, Buffer.from("}")])).toBe(2.5);
  expect(measured("application/json", [Buffer.from('{"text":"\\"seconds\\": 9"}')])).toBeUndefined();
});

test("a form whose model has another name at the target keeps its file and all its fields", async () => {
  const form = new FormData();
  form.append("file", new File([Buffer.from([0, 1, 2, 13, 10, 45, 45])], 'a "b".wav', { type: "audio/wav" }));
  form.append("model", "alias");
  form.append("timestamp_granularities[]", "word");
  form.append("timestamp_granularities[]", "segment");
  const request = new Request("http://localhost", { method: "POST", body: form });
  const bytes = Buffer.from(await request.arrayBuffer());
  const headers = { "content-type": request.headers.get("content-type") ?? "" };
  const { body, model } = await decodeForm("transcription", bytes, headers);
  expect(model).toBe("alias");
  const call = { body } as InferenceCall;
  expect(encodeBody(call, body.json)).toBe(bytes);
  const rewritten = encodeBody(call, { ...body.json, model: "whisper" });
  const again = await decodeForm("transcription", rewritten, { "content-type": contentTypeOf(call) });
  expect(again.body.json).toEqual({ model: "whisper", "timestamp_granularities[]": ["word", "segment"] });
  expect(again.body.form?.file).toEqual(body.form?.file);
  expect(again.body.form?.file.bytes).toEqual(Buffer.from([0, 1, 2, 13, 10, 45, 45]));
});
