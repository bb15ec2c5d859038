import { limitFields, providerTypes } from "../../core/provider.ts";
import { Type } from "../../core/schema.ts";
import { defaults } from "../defaults.ts";
import { type ProviderPresetName, providerPresetNames } from "../provider-presets.ts";
import { choice, decimal, entries, flag, integer, list, text, variableName } from "./kit.ts";

const ProviderEntry = Type.Object(
  {
    preset: choice(
      providerPresetNames as [ProviderPresetName, ...ProviderPresetName[]],
      "A predefined entry with `type`, `base_url` and `api_key_env`; keys set here override it. " +
        "docs/providers.md lists the presets.",
    ),
    name: text("Name in messages and in `assistant provider list`, and prefix of its models' names (`NAME/MODEL`).", {
      defaultText: "that of the preset",
    }),
    type: choice([...providerTypes], "API of the service.", {
      defaultText: 'that of the preset, else `"openai-compatible"`',
    }),
    base_url: text("Base URL of its API, including the version, such as `https://api.openai.com/v1`.", {
      defaultText: "that of the preset; required without one",
    }),
    api_key_env: variableName("Name of the daemon's environment variable that holds its API key.", {
      defaultText: "that of the preset",
    }),
    api_key_file: text("File that contains only its API key; relative to this file. Reread when it changes.", {
      minLength: 1,
    }),
    api_key_keyring: text(
      "Entry of the system keyring that holds its API key, `SERVICE/ACCOUNT`; read at start and on each reload. " +
        "docs/providers.md explains how to store one.",
      { pattern: "^[^/-].*/[^/]+$", patternText: 'a service and an account, such as "openai.com/me"' },
    ),
    headers: list(
      Type.String({
        pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]+: *[^\\r\\n]*$",
        patternText: 'a header such as "X-Title: Assistant"',
        secret: true,
      }),
      'Additional headers of every request, each `"NAME: VALUE"`.',
      { default: [], secret: true },
    ),
    llama_cpp: flag(
      "Whether the service accepts llama.cpp's own fields, such as `grammar`, `json_schema` and `n_predict`, " +
        "which are then passed on unchanged.",
      { default: false },
    ),
    limit_field: choice(
      [...limitFields],
      "The service's name of the field that limits the length of a chat's answer; the client's field is renamed to it.",
      { defaultText: "that of the preset, else the client's field" },
    ),
    models: list(Type.String({ minLength: 1 }), "Models to offer as `NAME/MODEL`; `*` matches any characters.", {
      defaultText: "all that the service lists",
    }),
    discovery: flag("Read the service's list of models. If false, only the names in `models` are offered.", {
      default: true,
    }),
    weight: integer("Share of the work among the providers of one model; 0: only requests that no other can take.", {
      minimum: 0,
      default: defaults.remoteWeight,
    }),
    max_concurrency: integer("Maximum number of concurrent requests, over all its models; more wait in the queue.", {
      minimum: 1,
      default: defaults.providerConcurrency,
    }),
    connect_timeout_s: decimal("Timeout for connecting.", {
      exclusiveMinimum: 0,
      default: defaults.providerConnectTimeoutS,
      unit: "s",
    }),
    timeout_s: decimal("Maximum time without data, before and during an answer.", {
      exclusiveMinimum: 0,
      default: defaults.providerTimeoutS,
      unit: "s",
    }),
    enabled: flag("Whether the entry is used.", { default: true }),
  },
  { additionalProperties: false },
);

/** `[[providers]]` of config.toml. */
export const Providers = entries(
  ProviderEntry,
  "Services that run models, such as OpenAI, OpenRouter, Ollama or another Assistant; see docs/providers.md.",
);
