import type { Static } from "typebox";
import type { ModelKind } from "../../core/model.ts";
import { Type } from "../../core/schema.ts";
import { defaults } from "../defaults.ts";
import { TranscriptionSection, TtsSection } from "./audio.ts";
import { capabilityTable } from "./capabilities.ts";
import { CommandSection } from "./command.ts";
import { decimal, flag, integer, type SpecNote, section, text } from "./kit.ts";
import { llamaSpeculation } from "./llama.ts";
import { engineDefault, identity, kept, loading, placement } from "./sections.ts";

const batchSpec = "honoured; the default is chosen so that one batch takes about 200 ms on the device";
const microSpec =
  "honoured, but never above `batch_size`: the file's 512 with a batch of 128 becomes 128, as in llama.cpp, " +
  "with a warning";

const ChatSection = section(
  {
    model_name: text("Name that clients use.", {
      defaultText: "the file's name without `.toml`",
      spec: kept(
        '"default"',
        "the model's name; `\"default\"` stands for the file's name (for `name` of the `[[llama_servers]]` entry)",
      ),
    }),
    model_alias: text("Additional name of the model.", {
      spec: kept('"default"', 'an alias; `"default"` stands for none'),
    }),
    ...identity,
    ctx_size: integer(
      "Context of a single request, prompt and answer together. An instance allocates `slots` times as much.",
      {
        minimum: 32,
        default: defaults.contextTokens,
        unit: "tokens",
        spec: kept("4096", "honoured as the context of one request, regardless of the number of slots"),
      },
    ),
    batch_size: integer("Tokens per prefill batch. A request whose client disconnects is cancelled between batches.", {
      minimum: 1,
      unit: "tokens",
      defaultText: "2048 on a GPU; on a CPU 12 per core, at least 64 + `slots`, at most 512",
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
        "honoured; the reference's names (`llama-2-chat`, `mistral-instruct`, …) become llama.cpp's; " +
          "default: the template in the model's file",
      ),
    }),
    reverse_prompt: text('Text that ends an answer; `""`: none.', {
      default: "",
      spec: kept('""', "a stop string of every request"),
    }),
    n_predict: integer("Maximum number of tokens per answer; -1: until the context is full.", {
      minimum: -1,
      default: -1,
      unit: "tokens",
      spec: kept("-1"),
    }),
    temp: decimal("Default sampling temperature.", {
      minimum: 0,
      defaultText: engineDefault,
      spec: kept("1.0"),
    }),
    top_p: decimal("Default for nucleus sampling.", {
      minimum: 0,
      maximum: 1,
      defaultText: engineDefault,
      spec: kept("1.0"),
    }),
    top_k: integer("Default number of candidates; 0: all.", { minimum: 0, defaultText: engineDefault }),
    min_p: decimal("Default minimum probability, relative to the best candidate.", {
      minimum: 0,
      maximum: 1,
      defaultText: engineDefault,
    }),
    repeat_penalty: decimal("Default penalty for repeated tokens; 1: none.", {
      exclusiveMinimum: 0,
      defaultText: engineDefault,
      spec: kept("1.1"),
    }),
    presence_penalty: decimal("Default presence penalty, as in OpenAI's API.", {
      minimum: -2,
      maximum: 2,
      defaultText: engineDefault,
      spec: kept("0"),
    }),
    frequency_penalty: decimal("Default frequency penalty, as in OpenAI's API.", {
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
    include_usage: flag("End every streamed answer with its usage, even if the request did not ask for it.", {
      default: false,
      spec: kept("false"),
    }),
    host_cache_mib: integer("Host memory for the KV state of conversations that lost their slot; 0: none.", {
      minimum: 0,
      unit: "MiB",
      defaultText: "an eighth of the memory divided by the number of GPUs, at most 8192",
    }),
    ...loading,
    ...llamaSpeculation,
    ...placement,
  },
  "A chat model.",
);

// What the reference's [embedding] section carries only because it shares its keys with [chat].
const chatOnly = (value: string | null): { spec: SpecNote } => ({
  spec: { value, becomes: "accepted without effect, with a warning if set" },
});

const EmbeddingSection = section(
  {
    model_name: text("Name that clients use.", {
      defaultText: "the file's name, with `-embedding` if the file also has a chat model",
      spec: kept('"default"', 'the model\'s name; `"default"` stands for the default'),
    }),
    model_alias: text("Additional name of the model.", {
      spec: kept(
        '"embedding"',
        'an alias; `"default"` stands for none. If two models have the same alias, the first keeps it, with a warning',
      ),
    }),
    ...identity,
    ctx_size: integer("Maximum length of an input.", {
      minimum: 8,
      default: defaults.embeddingContextTokens,
      unit: "tokens",
      spec: kept("384"),
    }),
    batch_size: integer("Tokens per batch.", {
      minimum: 1,
      unit: "tokens",
      defaultText: "`ctx_size`, at least 512",
      spec: kept("512"),
    }),
    ubatch_size: integer("Tokens computed at once; also limits the length of an input.", {
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
    model_name: text("Name that clients use.", {
      defaultText: "the file's name, with `-rerank` if the file also has another model",
    }),
    model_alias: text("Additional name of the model."),
    ...identity,
    ctx_size: integer("Maximum length of a query and a document together.", {
      minimum: 8,
      default: defaults.embeddingContextTokens,
      unit: "tokens",
    }),
    batch_size: integer("Tokens per batch.", {
      minimum: 1,
      unit: "tokens",
      defaultText: "`ctx_size`, at least 512",
    }),
    ubatch_size: integer("Tokens computed at once; a query and a document together must fit.", {
      minimum: 1,
      unit: "tokens",
      defaultText: "`batch_size`",
    }),
    ...rerankLoading,
    ...placement,
  },
  "A reranking model, which scores how well documents answer a query.",
);

const ImageSection = section(
  {
    model_name: text("Name that clients use.", {
      defaultText: "the file's name, with `-image` if the file also has another model",
    }),
    model_alias: text("Additional name of the model."),
    ...identity,
    slots: loading.slots,
    threads: loading.threads,
    ...placement,
  },
  'An image model, for `engine = "command"` only.',
);

/** One model file, `NAME.toml`. */
export const ModelFile = Type.Object(
  {
    server: section(
      {
        socket_addr: text(
          "Address, `host:port`, that serves only this file's models, regardless of a request's `model`; `\"\"`: none.",
          {
            default: "",
            spec: kept(
              '"0.0.0.0:8010"',
              "honoured; 0.0.0.0 is restricted to loopback, with a warning, " +
                "until a key exists or `[server] allow_remote = true` is set in config.toml",
            ),
          },
        ),
      },
      "A separate address for this file's models.",
    ),
    capabilities: capabilityTable(
      'Additional capabilities of this file\'s models, such as `gpus = 2` or `language = "de"`. `vision`, `audio`, `tools`, `reasoning` and `infill` are detected from the weights and can be corrected here; `type` and the operations follow from the section.',
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

/** A kind of models that files describe. No engine moderates; providers do. */
export type FileKind = Exclude<ModelKind, "handler" | "moderation">;

/** The section that describes models of a kind. */
export const sectionOf = {
  chat: "chat",
  embedding: "embedding",
  rerank: "rerank",
  image: "image",
  speech: "tts",
  transcription: "transcription",
} as const satisfies Record<FileKind, keyof ModelFile>;
export const MODEL_KINDS = Object.keys(sectionOf) as readonly FileKind[];
