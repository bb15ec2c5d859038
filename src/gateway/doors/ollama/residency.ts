import type { AnswerSink, InferenceCall, JsonObject } from "../../../core/inference.ts";
import { resolveModel } from "../../../inference/resolve.ts";
import { INT32_MAX, invalid, shown } from "../../canonical/rules.ts";
import { type Identity, requireScope } from "../../front/authorize.ts";
import type { DecodedBody } from "../../front/door.ts";
import { isGiven } from "./fields.ts";
import type { OllamaOptions } from "./ports.ts";

const UNITS_MS: Readonly<Record<string, number>> = {
  h: 3_600_000,
  m: 60_000,
  s: 1_000,
  ms: 1,
  us: 1e-3,
  µs: 1e-3,
  ns: 1e-6,
};
const DURATION = /^[+-]?(?:\d+(?:\.\d*)?(?:h|ms|m|s|us|µs|ns))+$/;

/**
 * `keep_alive` in milliseconds, from Go's durations ("5m", "1h30m") or seconds; below 0: forever. Null: not given.
 * Throws `invalid_request`.
 */
export function keepAliveOf({ keep_alive: value }: JsonObject): number | null {
  if (!isGiven(value)) return null;
  const seconds =
    typeof value === "number" ? value : typeof value === "string" && value.trim() !== "" ? Number(value) : NaN;
  if (Number.isFinite(seconds)) return bounded(seconds * 1000);
  if (typeof value === "string" && DURATION.test(value)) {
    const parts = [...value.matchAll(/(\d+(?:\.\d*)?)(h|ms|m|s|us|µs|ns)/g)];
    const ms = parts.reduce((sum, [, count, unit = "s"]) => sum + Number(count) * (UNITS_MS[unit] ?? 0), 0);
    return bounded(value.startsWith("-") ? -ms : ms);
  }
  throw invalid(
    "keep_alive",
    `The field "keep_alive" must be a duration such as "5m", or a number of seconds; found ${shown(value)}.`,
  );
}

const bounded = (ms: number): number => (ms < 0 ? Number.POSITIVE_INFINITY : Math.min(ms, INT32_MAX));

type Answer = NonNullable<DecodedBody["answer"]>;

/** Loads the model of a call, or with `keep_alive` 0 unloads it, and answers with `body`. */
export const residencyAnswer =
  (options: OllamaOptions, keepAliveMs: number | null, body: (reason: "load" | "unload") => JsonObject): Answer =>
  async (call, client, identity) => {
    if (keepAliveMs === 0) resolveModel(options.directory, call);
    const settle = settling(options, call, identity, keepAliveMs);
    if (keepAliveMs !== 0) await options.inference.load(call);
    await settle();
    sendJson(client, body(keepAliveMs === 0 ? "unload" : "load"));
  };

/** Has a call answered, and then keeps or unloads its model. */
export const keptAnswer =
  (
    options: OllamaOptions,
    keepAliveMs: number | null,
    answer: (call: InferenceCall, client: AnswerSink) => Promise<void>,
  ): Answer =>
  async (call, client, identity) => {
    const settle = settling(options, call, identity, keepAliveMs);
    await answer(call, client);
    await settle();
  };

/**
 * Applies `keep_alive` after an answer. Shortening it makes others wait for the model, which requires the scope
 * `admin`. Remote models are not affected. Throws `insufficient_scope`.
 */
function settling(
  { directory, control }: OllamaOptions,
  call: InferenceCall,
  identity: Identity,
  keepAliveMs: number | null,
): () => Promise<void> {
  // A model that does not exist may have a substitute, which the core knows.
  const model = directory.find(call.selector.among?.[0] ?? call.selector.model);
  if (keepAliveMs === null || model === undefined || model.nodes !== undefined || model.source.type === "provider")
    return async () => {};
  const { name, idleTtlMs } = model;
  if (keepAliveMs < (idleTtlMs ?? Number.POSITIVE_INFINITY)) requireScope(identity, "admin");
  return async () => {
    if (keepAliveMs === 0) await control.modelAct(name, "unload");
    else control.keep(name, Number.isFinite(keepAliveMs) ? keepAliveMs : null);
  };
}

/** A whole answer. `headers`: name, value, … */
export function sendJson(client: AnswerSink, body: JsonObject, headers: readonly string[] = []): void {
  const bytes = Buffer.from(JSON.stringify(body));
  client.head(200, ["Content-Type", "application/json; charset=utf-8", ...headers], bytes.length);
  client.end(bytes);
}
