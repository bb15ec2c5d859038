import { AssistantError } from "../../../core/errors.ts";
import type { JsonObject } from "../../../core/inference.ts";
import { fieldTable } from "../../canonical/field-table.ts";
import { boolean, integer, invalid, isObject, mustBe, type Rule, shown } from "../../canonical/rules.ts";
import type { TensorOperation } from "./model-tensors.ts";
import { invalidTensor, type Tensor } from "./tensors.ts";

/** The content of parameters and settings tensors. */
export interface Settings {
  /** Fields of the request, as named by OpenAI's API and the engines. */
  readonly fields: JsonObject;
  /** Whether the answer is streamed; null: not specified. */
  readonly stream: boolean | null;
  /** Outputs in addition to the default ones. */
  readonly extraOutputs: readonly string[];
  /** 0–100, higher first; null: not specified. */
  readonly priority: number | null;
  /** Milliseconds until the deadline for the start of an answer, or null. */
  readonly timeoutMs: number | null;
}

/** Names of TensorRT-LLM and vLLM, which clients of Triton use for these fields. */
const ALIASES: Readonly<Record<string, string>> = {
  stop_words: "stop",
  random_seed: "seed",
  repetition_penalty: "repeat_penalty",
};

/** No settings. */
export const NO_SETTINGS: Settings = { fields: {}, stream: null, extraOutputs: [], priority: null, timeoutMs: null };

export const isAlias = (name: string): boolean => Object.hasOwn(ALIASES, name);

/** Parts of the request for which the protocol has tensors, or that are set here. */
const NOT_PARAMETERS = new Set(["model", "messages", "prompt", "input", "stream_options", "text_input"]);

/** Unsupported features, by name, unless the value disables them. */
const UNSUPPORTED: Readonly<Record<string, string>> = {
  sequence_id: "Send the whole conversation in each request: nothing is stored between them.",
  return_logprobs: "Use /v1/completions, whose answers have `logprobs`.",
  return_cumulative_logprob: "Use /v1/completions, whose answers have `logprobs`.",
  capabilities: "Send `capability`, an object or its JSON text.",
};
/** Without effect unless a feature refused above is used, or always true. */
const WITHOUT_EFFECT = new Set([
  "sequence_start",
  "sequence_end",
  "return_finish_reason",
  "triton_enable_empty_final_response",
]);

/** Triton counts priorities from 1, the highest; 0: the default. */
const HIGHEST_PRIORITY = 101;
const MICROSECONDS = 1_000;

/**
 * Parses the parameters of a request and the equivalent tensors. Throws `invalid_request` for unsupported ones. The
 * values of fields are checked in the same place as those of all requests.
 */
export function settingsOf(operation: TensorOperation, parameters: JsonObject, tensors: readonly Tensor[]): Settings {
  const given: Record<string, unknown> = { ...parameters };
  for (const tensor of tensors) {
    if (Object.hasOwn(given, tensor.name)) throw invalidTensor(tensor.name, "is given as a parameter too; send one");
    given[tensor.name] = settingOf(tensor);
  }
  for (const [name, value] of Object.entries(given)) requireFinite(name, value);
  const { sampling_parameters: sampling, ...others } = given;
  const fields: Record<string, unknown> = {};
  const taken: Record<string, unknown> = {};
  for (const [name, value] of Object.entries({ ...samplingOf(sampling), ...others })) {
    if (NOT_PARAMETERS.has(name))
      throw invalid(name, `"${name}" is no parameter: it is a tensor, or not part of the protocol.`);
    if (Object.hasOwn(RESERVED, name)) taken[name] = checked(name, RESERVED[name] as Rule, value);
    else if (Object.hasOwn(UNSUPPORTED, name)) refuse(name, value);
    else if (!WITHOUT_EFFECT.has(name)) {
      const field = isAlias(name) ? (ALIASES[name] as string) : name;
      fields[field] = asWritten(operation, field, value);
    }
  }
  if (taken["exclude_input_in_output"] === false)
    throw new AssistantError("invalid_request", "The input is never repeated in the output.", {
      param: "exclude_input_in_output",
      remedy: "Omit it, or send true.",
    });
  const priority = taken["priority"] as number | undefined;
  const timeout = taken["timeout"] as number | undefined;
  return {
    fields,
    stream: (taken["stream"] as boolean | undefined) ?? null,
    extraOutputs: ["num_input_tokens", "num_output_tokens"].filter((name) => taken[`return_${name}`] === true),
    priority: priority === undefined || priority === 0 ? null : Math.max(0, HIGHEST_PRIORITY - priority),
    timeoutMs: timeout === undefined || timeout === 0 ? null : timeout / MICROSECONDS,
  };
}

const RESERVED: Readonly<Record<string, Rule>> = {
  stream: boolean,
  exclude_input_in_output: boolean,
  return_num_input_tokens: boolean,
  return_num_output_tokens: boolean,
  priority: integer(0),
  timeout: integer(0, Number.MAX_SAFE_INTEGER),
};

function checked(name: string, rule: Rule, value: unknown): unknown {
  const read = parsedFor(rule, value);
  mustBe(rule, read, name);
  return read;
}

function refuse(name: string, value: unknown): void {
  if (value === null || value === false || value === 0 || value === "") return;
  throw new AssistantError("invalid_request", `The parameter "${name}" is not supported.`, {
    param: name,
    remedy: UNSUPPORTED[name] ?? "Leave it out.",
  });
}

/** vLLM's backend accepts them as one JSON string. */
function samplingOf(value: unknown): JsonObject {
  if (value === undefined || value === null) return {};
  const read = parsedFor({ passes: isObject, expected: "" }, value);
  if (isObject(read)) return read;
  throw invalid(
    "sampling_parameters",
    `"sampling_parameters" must be the text of a JSON object; found ${shown(value)}.`,
  );
}

/** A value for a field; numbers, lists and objects may be strings, as older clients send everything but integers. */
function asWritten(operation: TensorOperation, name: string, value: unknown): unknown {
  const fields = Object.hasOwn(fieldTable, name) ? fieldTable[name] : undefined;
  const rule = fields?.find(({ operations }) => operations.includes(operation));
  return rule === undefined ? value : parsedFor(rule, value);
}

function parsedFor({ passes }: Pick<Rule, "passes" | "expected">, value: unknown): unknown {
  if (typeof value !== "string" || passes(value)) return value;
  try {
    const read: unknown = JSON.parse(value);
    return passes(read) ? read : value;
  } catch {
    return value;
  }
}

/** JSON only has finite numbers: in JSON, others would count as missing. */
function requireFinite(name: string, value: unknown): void {
  const found = [value].flat().find((each) => typeof each === "number" && !Number.isFinite(each));
  if (found !== undefined) throw invalid(name, `"${name.slice(0, 60)}" must be a finite number; found ${found}.`);
}

function settingOf({ name, data }: Tensor): unknown {
  return name === "stop" || name === "stop_words" || data.length !== 1 ? data : data[0];
}
