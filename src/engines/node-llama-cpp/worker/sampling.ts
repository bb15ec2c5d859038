import { randomInt } from "node:crypto";
import {
  type GbnfJsonSchema,
  type Llama,
  type LlamaContextSequenceDryRepeatPenalty,
  LlamaGrammar,
  LlamaGrammarEvaluationState,
  LlamaJsonSchemaGrammar,
  type LlamaModel,
  type SequenceEvaluateOptions,
  type Token,
  TokenBias,
} from "node-llama-cpp";
import type { SamplingDefaults } from "../../../core/model.ts";
import { invalid, unsupported } from "./errors.ts";
import { type Body, isObject, numberOf, objectOf, textOf, textsOf } from "./fields.ts";
import type { LoadedModel } from "./model.ts";
import { continuesMessage } from "./prompt.ts";
import type { Constraint } from "./reader.ts";
import { describedSchema, grammarSchema } from "./schema.ts";
import type { ToolRequest } from "./tools.ts";

/** What llama-server uses where neither the request nor the model's configuration says anything. */
const engineDefaults = {
  temperature: 0.8,
  topK: 40,
  topP: 0.95,
  minP: 0.05,
  repeatPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  repeatLastN: 64,
};

/**
 * Request fields that would change the answer and that this engine cannot honour, each with the values that ask for
 * nothing.
 */
const neutralValues: Readonly<Record<string, readonly unknown[]>> = {
  post_sampling_probs: [false],
  typical_p: [1],
  mirostat: [0],
  dynatemp_range: [0],
  top_n_sigma: [-1],
  adaptive_target: [-1],
  samplers: [],
  min_keep: [0, 1],
  lora: [],
  suffix: [""],
  echo: [false],
  best_of: [1],
  audio: [],
  n_indent: [0],
  t_max_predict_ms: [-1],
  response_fields: [],
  backend_sampling: [false],
  continue_final_message: [false, true, "content"],
  reasoning_format: ["none", "auto"],
  reasoning_budget_tokens: [-1],
  thinking_budget_tokens: [-1],
  reasoning_budget_message: [""],
  reasoning_control: [false],
};

export function refuseUnsupported(body: Body): void {
  for (const [field, neutral] of Object.entries(neutralValues)) {
    const value = body[field];
    const isEmpty = Array.isArray(value) && value.length === 0;
    if (value !== undefined && value !== null && !isEmpty && !neutral.includes(value))
      throw unsupported(`\`${field}\``);
  }
}

/** How one request is sampled. `options` makes fresh state for each of its answers. */
export interface Sampling {
  /** Stop strings that end a structured answer; they belong to the grammar and not to the request. */
  readonly structureStops: readonly string[];
  /** Whether the most likely token is always chosen, whatever came before. */
  readonly isGreedy: boolean;
  /**
   * `answer` numbers the answers of one request; `tokens` is read for the repetition penalties, and `constraint` before
   * each token.
   */
  options(answer: number, tokens: readonly Token[], constraint: () => Constraint | null): SequenceEvaluateOptions;
}

export function samplingOf(body: Body, tools: ToolRequest | null, loaded: LoadedModel): Sampling {
  const { llama, model } = loaded;
  const defaults = loaded.config.sampling;
  const { contextTokens } = loaded.evaluation;
  const temperature = numberOf(body, "temperature", { min: 0 }) ?? defaults.temperature ?? engineDefaults.temperature;
  const topK = numberOf(body, "top_k", { integer: true }) ?? defaults.topK ?? engineDefaults.topK;
  const topP = numberOf(body, "top_p", { min: 0 }) ?? defaults.topP ?? engineDefaults.topP;
  const minP = numberOf(body, "min_p", { min: 0, max: 1 }) ?? defaults.minP ?? engineDefaults.minP;
  const seed = seedOf(body);
  const penalties = penaltiesOf(body, defaults, contextTokens);
  const bias = biasOf(body, model);
  const grammar = grammarOf(body, defaults, llama);
  if (tools !== null && grammar !== null)
    throw invalid("Tools cannot be used together with a grammar or a JSON Schema");
  const calls = tools === null ? null : callGrammars(tools, llama, model);
  const xtc = {
    probability: numberOf(body, "xtc_probability", { min: 0, max: 1 }) ?? 0,
    threshold: numberOf(body, "xtc_threshold", { min: 0, max: 1 }) ?? 0.1,
  };
  const dry = dryOf(body, contextTokens);
  return {
    structureStops: grammar instanceof LlamaJsonSchemaGrammar ? ["\n\n\n\n"] : [],
    isGreedy:
      temperature === 0 &&
      xtc.probability === 0 &&
      [penalties, bias, grammar, calls, dry].every((setting) => setting === null),
    options: (answer, tokens, constraint) => ({
      ...{ temperature, topK: Math.max(0, topK), topP, minP, seed: (seed + answer) % 2 ** 32 },
      ...(penalties === null
        ? {}
        : { repeatPenalty: { ...penalties, punishTokens: () => tokens.slice(-penalties.maxPunishTokens) } }),
      ...(bias === null ? {} : { tokenBias: bias }),
      ...(grammar === null ? {} : { grammarEvaluationState: new LlamaGrammarEvaluationState({ model, grammar }) }),
      ...(calls === null ? {} : { grammarEvaluationState: calls(constraint) }),
      ...(xtc.probability > 0 ? { xtc } : {}),
      ...(dry === null ? {} : { dryRepeatPenalty: dry }),
    }),
  };
}

function seedOf(body: Body): number {
  const seed = numberOf(body, "seed", { integer: true });
  return seed === null || seed < 0 ? randomInt(2 ** 32) : seed % 2 ** 32;
}

function penaltiesOf(body: Body, defaults: SamplingDefaults, contextTokens: number) {
  const penalty =
    numberOf(body, "repeat_penalty", { min: 0 }) ?? defaults.repeatPenalty ?? engineDefaults.repeatPenalty;
  const presencePenalty =
    numberOf(body, "presence_penalty", { min: -2, max: 2 }) ??
    defaults.presencePenalty ??
    engineDefaults.presencePenalty;
  const frequencyPenalty =
    numberOf(body, "frequency_penalty", { min: -2, max: 2 }) ??
    defaults.frequencyPenalty ??
    engineDefaults.frequencyPenalty;
  const lookBack = numberOf(body, "repeat_last_n", { min: -1, integer: true }) ?? engineDefaults.repeatLastN;
  const maxPunishTokens = lookBack === -1 ? contextTokens : lookBack;
  const none = maxPunishTokens === 0 || (penalty === 1 && presencePenalty === 0 && frequencyPenalty === 0);
  return none ? null : { penalty, presencePenalty, frequencyPenalty, maxPunishTokens };
}

/** Repeated sequences of the answer; llama-server counts those of the prompt, too. */
function dryOf(body: Body, contextTokens: number): LlamaContextSequenceDryRepeatPenalty | null {
  const strength = numberOf(body, "dry_multiplier", { min: 0 }) ?? 0;
  const base = numberOf(body, "dry_base", { min: 0 }) ?? 1.75;
  const allowedLength = numberOf(body, "dry_allowed_length", { min: 0, integer: true }) ?? 2;
  const lastTokens = numberOf(body, "dry_penalty_last_n", { min: -1, integer: true }) ?? -1;
  const sequenceBreakers = textsOf(body, "dry_sequence_breakers") ?? ["\n", ":", '"', "*"];
  // As llama-server: a base below 1 is no growth at all.
  if (strength === 0 || lastTokens === 0) return null;
  return {
    ...{ strength, base: base < 1 ? 1.75 : base, allowedLength, sequenceBreakers },
    // Without a number node-llama-cpp passes on -1, which llama.cpp reads as 0: off.
    lastTokens: lastTokens === -1 ? contextTokens : lastTokens,
  };
}

/** OpenAI's object of token ids, or llama-server's list of pairs; false means never. */
function biasOf(body: Body, model: LlamaModel): TokenBias | null {
  const given = body.logit_bias;
  if (given === undefined || given === null) return null;
  if (!Array.isArray(given) && !isObject(given))
    throw invalid("Field 'logit_bias': must be an object of token ids or a list of pairs");
  const pairs: readonly unknown[] = Array.isArray(given)
    ? given
    : Object.entries(given).map(([id, value]) => [Number(id), value]);
  const bias = TokenBias.for(model);
  for (const pair of pairs) {
    const [what, value] = Array.isArray(pair) ? (pair as unknown[]) : [];
    const tokens = typeof what === "string" ? model.tokenize(what) : Number.isInteger(what) ? [what as Token] : null;
    if (tokens === null || (typeof value !== "number" && value !== false))
      throw invalid("Field 'logit_bias': each entry needs a token id (or text) and a number or false");
    // 100 and -100 are OpenAI's words for always and never.
    for (const token of tokens) bias.set([token], value === false || value <= -100 ? "never" : { logit: value });
  }
  return bias;
}

/** The constructor infers the type of the answers from a literal schema; ours is only known at run time. */
const SchemaGrammar = LlamaJsonSchemaGrammar as unknown as new (llama: Llama, schema: GbnfJsonSchema) => LlamaGrammar;

function grammarOf(body: Body, defaults: SamplingDefaults, llama: Llama): LlamaGrammar | null {
  const grammar = grammarFor(body, defaults, llama);
  // It would begin anew behind the text that is continued.
  if (grammar !== null && continuesMessage(body))
    throw unsupported("A format or grammar for an answer that continues a message");
  return grammar;
}

function grammarFor(body: Body, defaults: SamplingDefaults, llama: Llama): LlamaGrammar | null {
  const given = textOf(body, "grammar") ?? "";
  const schema = requestedSchema(body);
  if (given !== "" && schema !== null) throw invalid("Either 'grammar' or a JSON Schema can be given, not both");
  if (schema !== null) return compile(() => new SchemaGrammar(llama, grammarSchema(schema)), "JSON Schema");
  if (given !== "") return compile(() => new LlamaGrammar(llama, { grammar: given }), "grammar");
  if (defaults.grammar !== "") return compile(() => new LlamaGrammar(llama, { grammar: defaults.grammar }), "grammar");
  if (defaults.jsonSchema !== "")
    return compile(() => new SchemaGrammar(llama, grammarSchema(JSON.parse(defaults.jsonSchema))), "JSON Schema");
  return null;
}

/** Grammars for the text of calls, which change during an answer. */
function callGrammars(
  { functions }: ToolRequest,
  llama: Llama,
  model: LlamaModel,
): (constraint: () => Constraint | null) => () => LlamaGrammarEvaluationState | undefined {
  const schemas = new Map(
    functions.map(({ name, parameters, isStrict }) => [
      name,
      compile(
        () => new SchemaGrammar(llama, (isStrict ? grammarSchema : describedSchema)(parameters ?? ANY_OBJECT)),
        `JSON Schema of "${name}"`,
      ),
    ]),
  );
  const grammarOf = (constraint: Constraint): LlamaGrammar | undefined =>
    constraint.type === "arguments"
      ? schemas.get(constraint.name)
      : new LlamaGrammar(llama, { grammar: `root ::= ${constraint.texts.map((text) => literal(text)).join(" | ")}` });
  return (constraint) => {
    let known: Constraint | null = null;
    let state: LlamaGrammarEvaluationState | undefined;
    return () => {
      const now = constraint();
      if (now !== known) {
        known = now;
        const grammar = now === null ? undefined : grammarOf(now);
        state = grammar === undefined ? undefined : new LlamaGrammarEvaluationState({ model, grammar });
      }
      return state;
    };
  };
}

/** A text in GBNF. */
const literal = (text: string): string => JSON.stringify(text);

const ANY_OBJECT = { type: "object", additionalProperties: true };

function requestedSchema(body: Body): unknown {
  const format = objectOf(body, "response_format");
  const direct = body.json_schema ?? null;
  if (format === null) return direct;
  if (format.type === "text") return direct;
  if (format.type === "json_object") return format.schema ?? direct ?? ANY_OBJECT;
  if (format.type === "json_schema") {
    const schema = objectOf(format, "json_schema")?.schema ?? format.schema;
    if (schema === undefined) throw invalid("Field 'response_format': json_schema.schema is missing");
    return schema;
  }
  throw invalid(
    `response_format type must be one of "text", "json_object" or "json_schema", but got: ${JSON.stringify(format.type)}`,
  );
}

function compile<G extends LlamaGrammar>(make: () => G, what: string): G {
  try {
    return make();
  } catch (error) {
    if (error instanceof Error && "status" in error) throw error;
    throw invalid(`The ${what} cannot be used: ${error instanceof Error ? error.message : String(error)}`);
  }
}
