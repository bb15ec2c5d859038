import type { AnswerSink, InferenceCall, JsonObject } from "../../../core/inference.ts";
import { resolveModel } from "../../../inference/resolve.ts";
import { INT32_MAX, invalid, shown } from "../../canonical/rules.ts";
import { requireScope } from "../../front/authorize.ts";
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
 * `keep_alive` in milliseconds, as Go writes durations ("5m", "1h30m") or in seconds; below 0: for ever. Null: not given.
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
    if (keepAliveMs === 0) {
      requireScope(identity, "admin");
      await unload(options, call);
    } else {
      await options.inference.load(call);
    }
    sendJson(client, body(keepAliveMs === 0 ? "unload" : "load"));
  };

/** Has a call answered by the core, and its model unloaded then. Other requests of the model end before. */
export const lastAnswer =
  (options: OllamaOptions, translate: (client: AnswerSink) => AnswerSink): Answer =>
  async (call, client, identity) => {
    requireScope(identity, "admin");
    await options.inference.run(call, translate(client));
    await unload(options, call);
  };

/** Nothing is loaded of a model that runs elsewhere. */
async function unload({ directory, control }: OllamaOptions, call: InferenceCall): Promise<void> {
  const { name, nodes, source } = resolveModel(directory, call);
  if (nodes === undefined && source.type !== "provider") await control.modelAct(name, "unload");
}

/** A whole answer. */
export function sendJson(client: AnswerSink, body: JsonObject): void {
  const bytes = Buffer.from(JSON.stringify(body));
  client.head(200, ["Content-Type", "application/json; charset=utf-8"], bytes.length);
  client.end(bytes);
}
