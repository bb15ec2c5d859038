import type { ListedModel } from "../connector.ts";
import type { Dialect, Extras } from "./dialect.ts";
import { isObject, isString, refused } from "./refuse.ts";
import { strictSchemaOf } from "./schema.ts";
import type { CallOptions } from "./sdk.ts";

type Sdk = typeof import("@ai-sdk/anthropic/internal");
type Capabilities = ReturnType<Sdk["getModelCapabilities"]>;

/** The minimum budget of the Messages API. */
const MIN_THINKING_TOKENS = 1024;

/** Share of an answer's tokens for thinking, by effort, for models without effort levels. The AI SDK's shares. */
const THINKING_SHARE: Readonly<Record<string, number>> = {
  minimal: 0.02,
  low: 0.1,
  medium: 0.3,
  high: 0.6,
  xhigh: 0.9,
  max: 0.95,
};

/** Keywords that the API describes to the model but does not enforce. */
const UNENFORCED: ReadonlySet<string> = new Set([
  ...["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  ...["minLength", "maxLength", "pattern", "minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties"],
  ...["not", "if", "contains", "patternProperties", "propertyNames", "prefixItems"],
]);

/** Request fields accepted by its token counting route. */
const COUNTED: ReadonlySet<string> = new Set(["model", "messages", "system", "tools", "tool_choice", "thinking"]);

const STATUS_OF: Readonly<Record<string, number>> = {
  invalid_request_error: 400,
  authentication_error: 401,
  billing_error: 402,
  permission_error: 403,
  not_found_error: 404,
  request_too_large: 413,
  rate_limit_error: 429,
  api_error: 500,
  timeout_error: 504,
  overloaded_error: 529,
};

/** Anthropic's Messages API, version 2023-06-01. */
export const anthropic: Dialect = {
  id: "anthropic",
  media: /^(?:image\/.+|application\/pdf)$/,
  takesLateSystem: true,
  needsMediaType: false,
  events: new Set([
    ...["message_start", "message_delta", "message_stop", "ping", "error"],
    ...["content_block_start", "content_block_delta", "content_block_stop"],
  ]),

  statusOf(body) {
    const error = isObject(body) && body["type"] === "error" ? body["error"] : null;
    return isObject(error) && isString(error["type"]) ? (STATUS_OF[error["type"]] ?? 500) : null;
  },

  listPath: "/models?limit=1000",
  listed: (answer) => {
    const { data } = isObject(answer) ? answer : {};
    if (!Array.isArray(data)) return null;
    return data.filter(isObject).flatMap(({ id, max_input_tokens: contextTokens }): ListedModel[] => {
      if (!isString(id)) return [];
      return [{ id, kind: "chat", contextTokens: typeof contextTokens === "number" ? contextTokens : null }];
    });
  },

  headers: (apiKey) => ({
    "anthropic-version": "2023-06-01",
    ...(apiKey === null ? {} : { "x-api-key": apiKey }),
  }),

  async load({ provider: { baseUrl, apiKey } }) {
    // The classes behind the package's factory: they report in advance what would be omitted from a request, and read
    // no environment.
    const sdk = await import("@ai-sdk/anthropic/internal");
    const config = { provider: "anthropic.messages", baseURL: baseUrl, headers: anthropic.headers(apiKey) };
    return {
      shape: (model, options, extras) => shape(sdk, model, options, extras),
      warnings: async (model, options) => {
        const stated = { ...options, stream: true, userSuppliedBetas: new Set<string>() };
        return (await sdk.AnthropicLanguageModel.prepareRequest({ modelId: model, config, options: stated })).warnings;
      },
      counting: async (model, options) => {
        const stated = { ...options, stream: false, userSuppliedBetas: new Set<string>() };
        const { args } = await sdk.AnthropicLanguageModel.prepareRequest({ modelId: model, config, options: stated });
        const counted = Object.entries(args).filter(([name]) => COUNTED.has(name));
        return { path: "/messages/count_tokens", body: Object.fromEntries(counted), field: "input_tokens" };
      },
      stream: async (model, options, fetch) =>
        (await new sdk.AnthropicLanguageModel(model, { ...config, fetch }).doStream(options)).stream,
    };
  },
};

function shape(sdk: Sdk, model: string, options: CallOptions, extras: Extras): CallOptions {
  const capabilities = sdk.getModelCapabilities(model);
  const schema = strictSchemaOf(options, extras, UNENFORCED);
  const isEnforced = schema === null || sdk.supportsNativeStructuredOutputSchema(schema);
  if (!isEnforced || (schema !== null && !capabilities.supportsStructuredOutput))
    throw refused(
      "response_format",
      "The provider cannot enforce this schema for this model, as a strict schema requires.",
      "Omit `strict`, use a newer model, or list properties instead of open objects and make more of them required.",
    );
  const { temperature, topP, ...others } = options;
  const own = {
    ...(extras.parallelToolCalls === false ? { disableParallelToolUse: true } : {}),
    ...(extras.user === null ? {} : { metadata: { userId: extras.user } }),
    ...(extras.thinkingTokens === 0 ? { thinking: { type: "disabled" } } : {}),
  };
  return withBudget(capabilities, extras.thinkingTokens, {
    ...others,
    // 1 is the API's default; models that accept no temperature, or none together with `top_p`, need not receive it.
    ...(temperature === undefined || temperature === 1 ? {} : { temperature }),
    ...(topP === undefined || topP === 1 ? {} : { topP }),
    providerOptions: { anthropic: own },
  });
}

/**
 * The thinking budget of models that have one. The SDK adds it to the limit of the answer, while a chat's limit
 * includes it: an answer never has more tokens than the client allows.
 */
function withBudget(capabilities: Capabilities, asked: number | null, options: CallOptions): CallOptions {
  const { reasoning, ...others } = options;
  const { maxOutputTokens: most, isKnownModel } = capabilities;
  const stated = options.maxOutputTokens ?? most;
  const limit = isKnownModel ? Math.min(stated, most) : stated;
  const share = capabilities.supportsAdaptiveThinking ? undefined : THINKING_SHARE[reasoning ?? "none"];
  const budget = share === undefined ? asked : Math.max(MIN_THINKING_TOKENS, Math.round(limit * share));
  if (budget === null || budget === 0) return options;
  if (budget < MIN_THINKING_TOKENS)
    throw refused(
      "reasoning_budget_tokens",
      `The budget of thinking must be 0, or at least ${MIN_THINKING_TOKENS} tokens; found ${budget}.`,
    );
  if (limit <= budget)
    throw refused(
      "max_tokens",
      `The field "max_tokens" must be above ${budget}, as thinking takes up to ${budget} tokens; found ${limit}.`,
      "Raise it, or ask for less reasoning.",
    );
  const own = { ...options.providerOptions?.["anthropic"], thinking: { type: "enabled", budgetTokens: budget } };
  return { ...others, maxOutputTokens: limit - budget, providerOptions: { anthropic: own } };
}
