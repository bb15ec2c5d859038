import { limitFields, providerTypes } from "../../core/provider.ts";
import { Type } from "../../core/schema.ts";
import { defaults } from "../defaults.ts";
import { type ProviderPresetName, providerPresetNames } from "../provider-presets.ts";
import { choice, decimal, flag, integer, list, text } from "./kit.ts";

/** One `[[providers]]` entry. */
export const ProviderEntry = Type.Object(
  {
    preset: choice(
      providerPresetNames as [ProviderPresetName, ...ProviderPresetName[]],
      "A ready entry: it brings `type`, `base_url` and `api_key_env`, and every key that is written wins over it. docs/providers.md lists them.",
    ),
    name: text("Name in messages, in `assistant provider list`, and before the slash of its models' names.", {
      defaultText: "that of the preset",
    }),
    type: choice([...providerTypes], "The API that it speaks.", {
      defaultText: 'that of the preset, else `"openai-compatible"`',
    }),
    base_url: text("Where its API is, with the version, such as `https://api.openai.com/v1`.", {
      defaultText: "that of the preset; required without one",
    }),
    api_key_env: text("Name of the environment variable of the daemon that holds its key.", {
      pattern: "^[A-Za-z_][A-Za-z0-9_]*$",
      patternText: "the name of an environment variable",
      defaultText: "that of the preset",
    }),
    api_key_file: text("File that holds its key and nothing else; relative to this file. Read again when it changes.", {
      minLength: 1,
    }),
    api_key_keyring: text(
      "Entry of the system's keyring that holds its key, `SERVICE/ACCOUNT`; read at start and with each reload. docs/providers.md says how to store one.",
      { pattern: "^[^/-].*/[^/]+$", patternText: 'a service and an account, such as "openai.com/me"' },
    ),
    headers: list(
      Type.String({
        pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]+: *[^\\r\\n]*$",
        patternText: 'a header such as "X-Title: Assistant"',
        secret: true,
      }),
      'Further headers of every request, `"NAME: VALUE"` each.',
      { default: [], secret: true },
    ),
    llama_cpp: flag(
      "It has llama.cpp's own fields, as llama.cpp's server does: `grammar`, `json_schema` and `n_predict` reach it as they are.",
      { default: false },
    ),
    limit_field: choice(
      [...limitFields],
      "What it calls the limit of a chat's answer; the client's word is changed to it.",
      {
        defaultText: "that of the preset, else the client's own word",
      },
    ),
    models: list(
      Type.String({ minLength: 1 }),
      "Its models that are offered as `NAME/MODEL`; `*` stands for any characters.",
      { defaultText: "all that it lists" },
    ),
    discovery: flag("Read its list of models. Without it, `models` alone says what it offers.", { default: true }),
    weight: integer("Share of the work among the providers of one model; 0: only what no other can take.", {
      minimum: 0,
      default: defaults.remoteWeight,
    }),
    max_concurrency: integer("Most requests at once, over all its models; further ones wait here.", {
      minimum: 1,
      default: defaults.providerConcurrency,
    }),
    connect_timeout_s: decimal("Longest time to make a connection.", {
      exclusiveMinimum: 0,
      default: defaults.providerConnectTimeoutS,
      unit: "s",
    }),
    timeout_s: decimal("Longest silence, before an answer and within it.", {
      exclusiveMinimum: 0,
      default: defaults.providerTimeoutS,
      unit: "s",
    }),
    enabled: flag("Whether it is used.", { default: true }),
  },
  { additionalProperties: false },
);

export const providersText =
  "Services that run models elsewhere, such as OpenAI, OpenRouter, Ollama or another Assistant; see docs/providers.md.";
