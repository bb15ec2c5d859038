import type { JsonObject } from "../../../core/inference.ts";
import type { ModelSpec } from "../../../core/model.ts";
import { nearestNames } from "../../../core/nearest.ts";
import { checkField } from "../../canonical/fields.ts";
import { integer, invalid, mustBe, object, shown } from "../../canonical/rules.ts";
import { isGiven } from "./fields.ts";

/** Sampling options of one answer: Ollama's own, and additional ones of llama.cpp's engines. */
export const SAMPLING: readonly string[] = [
  ..."seed stop temperature top_k top_p min_p typical_p repeat_penalty repeat_last_n".split(" "),
  ..."presence_penalty frequency_penalty mirostat mirostat_tau mirostat_eta".split(" "),
  ..."top_n_sigma dry_multiplier dry_base dry_allowed_length dry_penalty_last_n dry_sequence_breakers".split(" "),
  ..."xtc_probability xtc_threshold dynatemp_range dynatemp_exponent adaptive_target adaptive_decay".split(" "),
  ..."samplers min_keep logit_bias ignore_eos grammar".split(" "),
];

/** Options for loading a model, which are set in its file here: no effect in a request. */
export const LOADING: readonly string[] = [
  ..."num_batch num_gpu main_gpu num_thread num_gqa use_mmap use_mlock numa low_vram f16_kv logits_all".split(" "),
  ..."vocab_only embedding_only rope_frequency_base rope_frequency_scale num_keep".split(" "),
];

/** Samplers that no engine supports any more, and the value that disables them. */
const RETIRED: Readonly<Record<string, unknown>> = { tfs_z: 1, penalize_newline: true };

const NUM_CTX = "num_ctx";
const NUM_PREDICT = "num_predict";
/** Ollama's word for "until the context is full", which is what "without end" comes to here. */
const FILL_CONTEXT = -2;

/**
 * The fields of OpenAI's format that `options` stands for. `model`: whose context `num_ctx` must fit; undefined:
 * unknown. Throws `invalid_request` for an option that is unknown, wrong, or unsupported.
 */
export function optionFields(
  { options }: JsonObject,
  model: ModelSpec | undefined,
  operation: "chat" | "completion" | "embedding",
): JsonObject {
  if (!isGiven(options)) return {};
  mustBe(object, options, "options");
  const fields: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(options as JsonObject)) {
    if (!isGiven(value) || LOADING.includes(name)) continue;
    const at = `options.${name}`;
    if (name === NUM_CTX) checkContext(value, model, at);
    else if (name === NUM_PREDICT) fields["max_tokens"] = tokenLimit(value, operation, at);
    else if (SAMPLING.includes(name)) fields[name] = checked(name, value, operation, at);
    else if (Object.hasOwn(RETIRED, name)) {
      if (value !== RETIRED[name]) throw invalid(at, `No engine samples by "${at}" any longer; found ${shown(value)}.`);
    } else throw unknown(name);
  }
  // Embeddings involve no sampling, but Ollama accepts the options.
  return operation === "embedding" ? {} : fields;
}

function checked(name: string, value: unknown, operation: "chat" | "completion" | "embedding", at: string): unknown {
  checkField(operation === "embedding" ? "chat" : operation, name, value, at);
  return value;
}

function tokenLimit(value: unknown, operation: "chat" | "completion" | "embedding", at: string): unknown {
  return checked("max_tokens", value === FILL_CONTEXT ? -1 : value, operation, at);
}

/** A running instance has the context set in its model's file. */
function checkContext(value: unknown, model: ModelSpec | undefined, at: string): void {
  mustBe(integer(1), value, at);
  const contextTokens = model?.load.contextTokens ?? 0;
  if (contextTokens === 0 || (value as number) <= contextTokens) return;
  throw invalid(
    at,
    `"${at}" requests ${value} tokens of context; "${model?.name}" has ${contextTokens}. Send ${contextTokens} or less, or raise \`ctx_size\` in the model's file.`,
  );
}

function unknown(name: string) {
  const near = nearestNames(name, [NUM_CTX, NUM_PREDICT, ...SAMPLING, ...LOADING]);
  const meant = near.length > 0 ? ` Did you mean ${near.join(" or ")}?` : "";
  return invalid(`options.${name.slice(0, 60)}`, `There is no option ${JSON.stringify(name.slice(0, 60))}.${meant}`);
}
