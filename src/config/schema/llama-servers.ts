import { Type } from "../../core/schema.ts";
import { entries, integer, requiredText, text } from "./kit.ts";

const LlamaServer = Type.Object(
  {
    name: requiredText("Name of the chat model (of the embedding model, if the entry has no chat model).", {
      spec: { value: '"…"', becomes: "the model's name" },
    }),
    chat_model_path: text("Weights of the chat model, a GGUF file; relative to this file.", {
      spec: { value: '"…"', becomes: 'the source of a chat model; `""`: none' },
    }),
    embedding_model_path: text(
      "Weights of the embedding model, a GGUF file. Its name is `[embedding] model_name`, " +
        "or `NAME-embedding` if the entry also has a chat model.",
      { spec: { value: '"…"', becomes: 'the source of an embedding model; `""`: none' } },
    ),
    tts_model_path: text("Piper voice (`.onnx`); relative to this file.", {
      spec: {
        value: '"…"',
        becomes: "honoured; a GGUF file is refused with the reason, and the entry's other models serve",
      },
    }),
    config_path: text("Model file with the settings of these models; relative to this file.", {
      spec: {
        value: '"…"',
        becomes: "read for its `[chat]`, `[embedding]` and `[server]` sections; the file then adds no further models",
      },
    }),
    port: integer("Loopback port that serves only these models, regardless of a request's `model`.", {
      minimum: 1,
      maximum: 65535,
      spec: { value: "8000", becomes: "honoured, on 127.0.0.1 (on 0.0.0.0 with `allow_remote = true`)" },
    }),
  },
  { additionalProperties: false },
);

/** `[[llama_servers]]` of config.toml. */
export const LlamaServers = entries(
  LlamaServer,
  "A model, or a chat and an embedding model, given by the paths of their weights. " +
    "Instances start on the first request.",
);
