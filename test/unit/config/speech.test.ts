import { expect, it } from "vitest";
import { noticeLines, site } from "./support.ts";

it("a [tts] section speaks with espeak-ng, on the CPU and one request at a time", async () => {
  await using at = await site({ "models/voice.toml": '[tts]\nsource = "espeak-ng"\nvoice = "en-gb"\nspeed = 1.2\n' });
  const config = await at.load();
  expect(noticeLines(config, at)).toEqual([]);
  expect(config.models).toMatchObject([
    {
      name: "voice",
      kind: "speech",
      engine: "speech",
      source: { type: "opaque", reference: "espeak-ng" },
      devices: ["cpu"],
      load: { slots: 1, threads: "auto" },
      speech: { backend: "espeak-ng", voice: "en-gb", speed: 1.2, maxInputCharacters: 4096, temperature: null },
    },
  ]);
});

it("a Piper voice is named by path, and takes the reference's temperature as its noise scale", async () => {
  await using at = await site({ "models/joe.toml": '[tts]\nmodel_path = "joe.onnx"\ntemp = 0.8\n' });
  expect((await at.load()).models).toMatchObject([
    {
      name: "joe",
      source: { type: "file", path: at.file("models/joe.onnx") },
      speech: { backend: "sherpa-onnx", temperature: 0.8 },
    },
  ]);
});

it("a Piper voice is named by its place on the hub", async () => {
  await using at = await site({ "models/joe.toml": '[tts]\nsource = "hf:acme/voices/en/joe.onnx"\n' });
  expect((await at.load()).models).toMatchObject([
    { source: { type: "huggingface", repo: "acme/voices", file: "en/joe.onnx" }, speech: { backend: "sherpa-onnx" } },
  ]);
});

it("a chat model and a voice of one file have names of their own", async () => {
  await using at = await site({
    "models/both.toml":
      '[chat]\nsource = "smollm2"\n[tts]\nsource = "espeak-ng"\n[transcription]\nsource = "hears.gguf"\n',
  });
  const { models } = await at.load();
  expect(models.map(({ name, kind, engine }) => [name, kind, engine])).toEqual([
    ["both", "chat", "auto"],
    ["both-tts", "speech", "speech"],
    ["both-transcription", "transcription", "llama-server"],
  ]);
});

it.each([
  ["codec_model", 'codec_model = "wavtokenizer.gguf"', /tts\.codec_model: no engine supports codec models/],
  ["source", 'model_path = "outetts.gguf"', /tts\.model_path: .*outetts\.gguf is a GGUF file/],
  ["devices", 'source = "espeak-ng"\ndevices = ["cuda:0"]', /tts\.devices: voices are computed on the CPU/],
  ["engine", 'source = "espeak-ng"\nengine = "llama-server"', /tts\.engine: llama-server does not run a speech model/],
])("%s that cannot be honoured is refused with the reason", async (key, lines, message) => {
  const source = lines.includes("source") || key === "source" ? "" : 'source = "espeak-ng"\n';
  await using at = await site({ "models/voice.toml": `[tts]\n${source}${lines}\n` });
  const config = await at.load();
  expect(config.models).toEqual([]);
  expect(noticeLines(config, at)).toEqual([expect.stringMatching(message)]);
});

it("what does nothing for a voice gives a warning, unless it is what the reference's file says", async () => {
  await using at = await site({
    "models/a.toml": '[tts]\nsource = "espeak-ng"\nctx_size = 8192\nn_predict = 4096\nn_gpu_layers = 100\ntemp = 0.8\n',
    "models/b.toml": '[tts]\nsource = "espeak-ng"\nmodel_name = "b"\nctx_size = 512\ntemp = 0.1\n',
  });
  expect(noticeLines(await at.load(), at)).toEqual([
    expect.stringMatching(/^warning models\/b\.toml:4: tts\.ctx_size: has no effect/),
    expect.stringMatching(/^warning models\/b\.toml:5: tts\.temp: has no effect/),
  ]);
});
