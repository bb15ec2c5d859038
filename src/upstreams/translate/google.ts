import type { ModelKind } from "../../core/model.ts";
import type { Dialect, Extras } from "./dialect.ts";
import { isObject, isString, refused } from "./refuse.ts";
import { strictSchemaOf } from "./schema.ts";
import type { CallOptions } from "./sdk.ts";

type Sdk = typeof import("@ai-sdk/google/internal");

/** Keywords outside the part of JSON Schema that `responseJsonSchema` enforces. */
const UNENFORCED: ReadonlySet<string> = new Set([
  ...["exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "pattern", "uniqueItems"],
  ...["minProperties", "maxProperties", "patternProperties", "propertyNames", "contains", "not", "if", "allOf"],
]);

/** The HTTP status of Google's RPC codes that concern the caller; others are failures of the service. */
const STATUS_OF: Readonly<Record<string, number>> = {
  INVALID_ARGUMENT: 400,
  FAILED_PRECONDITION: 400,
  OUT_OF_RANGE: 400,
  UNAUTHENTICATED: 401,
  PERMISSION_DENIED: 403,
  NOT_FOUND: 404,
  RESOURCE_EXHAUSTED: 429,
  UNAVAILABLE: 503,
  DEADLINE_EXCEEDED: 504,
};

/** Google's Gemini API, version v1beta. */
export const google: Dialect = {
  id: "google",
  media: /^(?:image|audio|video|text|application)\/.+$/,
  takesLateSystem: false,
  needsMediaType: true,
  events: null,

  statusOf(body) {
    // Some errors are in a list of one.
    const [answer] = Array.isArray(body) ? (body as readonly unknown[]) : [body];
    const error = isObject(answer) ? answer["error"] : null;
    if (!isObject(error)) return null;
    const { code, status } = error;
    return typeof code === "number" && code >= 400 && code < 600
      ? code
      : (isString(status) && STATUS_OF[status]) || 500;
  },

  listPath: "/models?pageSize=1000",
  listed: (answer) => {
    const { models } = isObject(answer) ? answer : {};
    if (!Array.isArray(models)) return null;
    return models.filter(isObject).flatMap(({ name, supportedGenerationMethods: methods, inputTokenLimit: limit }) => {
      if (!isString(name)) return [];
      const id = name.replace(/^models\//, "");
      return [{ id, kind: kindOf(id, methods), contextTokens: typeof limit === "number" ? limit : null }];
    });
  },

  headers: (apiKey) => (apiKey === null ? {} : { "x-goog-api-key": apiKey }),

  async load({ provider: { baseUrl, apiKey } }) {
    // The classes behind the package's factory: they report in advance what would be omitted from a request, and read
    // no environment.
    const sdk = await import("@ai-sdk/google/internal");
    const config = {
      provider: "google.generative-ai",
      baseURL: baseUrl,
      headers: google.headers(apiKey),
      generateId: () => crypto.randomUUID(),
    };
    return {
      shape: (model, options, extras) => shape(sdk, model, options, extras),
      warnings: async (model, options) =>
        (await sdk.GoogleLanguageModel.prepareRequest({ modelId: model, config, options, isStreaming: true })).warnings,
      counting: async (model, options) => {
        const { args } = await sdk.GoogleLanguageModel.prepareRequest({ modelId: model, config, options });
        const name = model.includes("/") ? model : `models/${model}`;
        const body = { generateContentRequest: { model: name, ...args } };
        return { path: `/${name}:countTokens`, body, field: "totalTokens" };
      },
      stream: async (model, options, fetch) =>
        (await new sdk.GoogleLanguageModel(model, { ...config, fetch }).doStream(options)).stream,
      embed: async (model, { inputs, dimensions, signal }, fetch) => {
        const { createGoogle } = await import("@ai-sdk/google");
        // Without a key, the factory looks for one in the environment.
        const provider = createGoogle({ baseURL: baseUrl, apiKey: apiKey ?? "none", fetch });
        const length = dimensions === null ? {} : { dimensions };
        const request = { values: [...inputs], abortSignal: signal, ...length };
        return (await provider.embeddingModel(model).doEmbed(request)).embeddings;
      },
    };
  },
};

/** The kind of a model. Some that generate content generate images or speech. */
function kindOf(id: string, methods: unknown): ModelKind | null {
  const known: readonly unknown[] = Array.isArray(methods) ? methods : [];
  if (known.includes("embedContent")) return "embedding";
  return known.includes("generateContent") && !/image|banana|\btts\b|native-audio/.test(id) ? "chat" : null;
}

function shape(sdk: Sdk, model: string, options: CallOptions, extras: Extras): CallOptions {
  if (extras.parallelToolCalls === false)
    throw refused(
      "parallel_tool_calls",
      'The field "parallel_tool_calls" cannot be false: this provider decides itself how many tools it calls.',
      "Leave it out.",
    );
  const schema = strictSchemaOf(options, extras, UNENFORCED);
  const { structuredOutput } = sdk.getGoogleLanguageModelEntry(model).capabilities.language;
  if (schema !== null && options.tools !== undefined && !structuredOutput.withFunctionTools)
    throw refused(
      "response_format",
      "This model cannot follow a schema strictly while it has tools.",
      "Leave `strict` or `tools` out, or use a newer model.",
    );
  const { thinkingTokens } = extras;
  const thinks = thinkingTokens !== null || (options.reasoning !== undefined && options.reasoning !== "none");
  if (!thinks) return options;
  const budget = thinkingTokens === null ? {} : { thinkingBudget: thinkingTokens };
  return {
    ...options,
    providerOptions: { google: { thinkingConfig: { includeThoughts: thinkingTokens !== 0, ...budget } } },
  };
}
