import { featuresOf, lacks, offers, quoted } from "../core/capabilities.ts";
import { queryText } from "../core/capability-query.ts";
import { AssistantError } from "../core/errors.ts";
import type { Caller, InferenceCall } from "../core/inference.ts";
import { answers, type ModelSpec, modelKinds, type Operation, operationsOf } from "../core/model.ts";
import { nearestNames } from "../core/nearest.ts";
import { CapabilityIndex } from "./capability-index.ts";

/** The current configured models: a reload takes effect at the next call. */
export interface ModelDirectory {
  find(nameOrAlias: string): ModelSpec | undefined;
  /** The substitute for unknown models; missing, or undefined: they are refused. */
  fallback?(operation: Operation): ModelSpec | undefined;
  all(): readonly ModelSpec[];
  /** The capabilities of models and their candidates. Missing: those of each model. */
  offers?(): CapabilityIndex;
  /** Epoch milliseconds at which the model was first configured, or its file's time. */
  createdAt(name: string): number;
}

type Named = Pick<ModelSpec, "name" | "aliases">;

const NONE: readonly ModelSpec[] = [];

/** Serves requests without a model, if several models support the operation. */
const DEFAULT_NAME = "default";

/** Whether the caller may use the model, which its key may name by an alias. */
export const mayUse = ({ models }: Caller, model: Named): boolean =>
  models === null || models.includes(model.name) || model.aliases.some((alias) => models.includes(alias));

/** Throws `insufficient_scope` if the caller may not use the model. */
export function requireModel(caller: Caller, model: Named): void {
  if (mayUse(caller, model)) return;
  throw new AssistantError(
    "insufficient_scope",
    `The API key "${caller.tenant}" may not use the model "${model.name}".`,
    {
      param: "model",
      remedy:
        "`GET /v1/models` lists those it may use; add the name to the `models` of its entry under " +
        "`[[server.api_key_sha256]]`.",
    },
  );
}

/** Those that the caller may use; others are not listed for it. */
export const modelsFor = (caller: Caller, directory: ModelDirectory): readonly ModelSpec[] =>
  caller.models === null ? directory.all() : directory.all().filter((model) => mayUse(caller, model));

/** The selector of a call. */
type Asking = Pick<InferenceCall, "selector" | "operation" | "caller">;

/**
 * The model that serves a call, followed by its alternatives. If several offer the requested capabilities, `prefer`
 * orders them. Throws like `resolveModel`.
 */
export function resolveModels(
  directory: ModelDirectory,
  call: Asking,
  prefer: (models: readonly string[]) => readonly string[],
): readonly ModelSpec[] {
  if (call.selector.capabilities === undefined) {
    const model = resolveModel(directory, call);
    return [model, ...fallbacksOf(directory, call, model)];
  }
  const capable = capableModels(directory, call);
  if (capable.length < 2) return capable;
  return prefer(capable.map(({ name }) => name)).flatMap((name) => capable.find((model) => model.name === name) ?? []);
}

/**
 * The model that serves a call. Without a name: the one called `default`, otherwise the only one that supports the
 * operation. Throws `model_not_found`, `capability_not_found`, `wrong_model_kind`, `insufficient_scope`,
 * `invalid_request`.
 */
export function resolveModel(
  directory: ModelDirectory,
  { selector, operation, caller }: Pick<InferenceCall, "selector" | "operation" | "caller">,
): ModelSpec {
  if (selector.capabilities !== undefined) {
    const [capable] = capableModels(directory, { selector, operation, caller });
    if (capable !== undefined) return capable;
  }
  const name = selector.among === null ? selector.model : boundName(directory, operation, selector.among);
  if (name === "") return defaultModel(directory, operation, caller);
  const model = directory.find(name) ?? directory.fallback?.(operation);
  if (model === undefined) throw notFound(modelsFor(caller, directory), name);
  requireModel(caller, model);
  if (!answers(model, operation)) throw wrongKind(modelsFor(caller, directory), model, operation);
  return model;
}

/**
 * The fallbacks of a model that cannot serve a call, in order. Those that do not exist now, do not support the
 * operation, or may not be used by the caller's key are skipped.
 */
const fallbacksOf = (
  directory: ModelDirectory,
  { operation, caller }: Pick<InferenceCall, "operation" | "caller">,
  { name, fallbacks = [] }: ModelSpec,
): readonly ModelSpec[] =>
  // Most have none, and this runs for every request.
  fallbacks.length === 0
    ? NONE
    : fallbacks
        .flatMap((other) => directory.find(other) ?? [])
        .filter((model) => model.name !== name && answers(model, operation) && mayUse(caller, model));

/** Throws `unsupported_capability` if the model is known to lack what the call requires. */
export function requireFeatures(
  directory: ModelDirectory,
  model: ModelSpec,
  call: Pick<InferenceCall, "operation" | "wire" | "caller" | "body" | "prompt">,
): void {
  for (const feature of featuresOf(call)) {
    if (model.capabilities[feature.key] !== false) continue;
    const able = modelsFor(call.caller, directory).filter(
      (other) => answers(other, call.operation) && other.capabilities[feature.key] === true,
    );
    throw lacks(
      model.name,
      feature,
      model.capabilities,
      able.map(({ name }) => name),
    );
  }
}

/** Throws `invalid_request` for a slot that the model's instances do not have: an engine would wait for it forever. */
export function requireSlot({ name, nodes, load: { slots } }: ModelSpec, { body }: Pick<InferenceCall, "body">): void {
  const { id_slot: slot } = body.json;
  // Another machine checks its own.
  if (typeof slot !== "number" || slot < slots || nodes !== undefined) return;
  throw new AssistantError(
    "invalid_request",
    `"id_slot" must be a slot of "${name}", from 0 to ${slots - 1}, or -1 for any; found ${slot}.`,
    { param: "id_slot", remedy: "Omit it: the slot with most of the prompt in its cache is chosen automatically." },
  );
}

/**
 * Any model that offers the requested capabilities and supports one of the operations, those with the first operation
 * before the others.
 */
export function anyCapable(
  directory: ModelDirectory,
  { model: name, among, capabilities: query = {} }: InferenceCall["selector"],
  operations: readonly Operation[],
): ModelSpec | undefined {
  const named = name === "" ? null : directory.find(name);
  if (named === undefined) return undefined;
  const mayServe = (model: ModelSpec): boolean =>
    (named === null || model.name === named.name) && (among === null || among.includes(model.name));
  for (const operation of operations) {
    const [found] = offersOf(directory).find(query, (model) => mayServe(model) && answers(model, operation));
    if (found !== undefined) return found;
  }
  return undefined;
}

const offersOf = (directory: ModelDirectory): CapabilityIndex =>
  directory.offers?.() ??
  new CapabilityIndex(directory.all().map((model) => ({ model, capabilities: model.capabilities })));

/**
 * Models that support the operation and offer the requested capabilities, at least one. Throws `capability_not_found`
 * with the nearest, and `model_not_found`.
 */
function capableModels(directory: ModelDirectory, { selector, operation, caller }: Asking): readonly ModelSpec[] {
  const { model: name, among, capabilities: query = {} } = selector;
  const index = offersOf(directory);
  const named = name === "" ? null : directory.find(name);
  if (named === undefined) throw notFound(modelsFor(caller, directory), name);
  if (named !== null) requireModel(caller, named);
  const mayServe = (model: ModelSpec): boolean =>
    (named === null || model.name === named.name) &&
    (among === null || among.includes(model.name)) &&
    mayUse(caller, model);
  const found = index.find(query, (model) => mayServe(model) && answers(model, operation));
  if (found.length > 0) return found;
  const other = index.find(query, mayServe)[0];
  if (other !== undefined) throw wrongKind(modelsFor(caller, directory), other, operation);
  const nearest = index.nearest(query, mayServe).map(({ model, capabilities }) => {
    const differing = Object.entries(query).filter(([key, value]) => String(capabilities[key]) !== value);
    return `"${model.name}" (${differing
      .map(([key]) => `${key}=${capabilities[key] ?? "none"}`)
      .join(", ")
      .slice(0, MAX_SHOWN)})`;
  });
  const who = named === null ? "No model, worker or node offers" : `"${named.name}" does not offer`;
  throw new AssistantError(
    "capability_not_found",
    `${who} ${queryText(query)}.${nearest.length === 0 ? "" : ` Nearest: ${nearest.join(", ")}.`}`,
    {
      param: "capability",
      remedy: "`GET /registry` lists the capabilities of workers.",
    },
  );
}

/** Characters of capabilities in a message. */
const MAX_SHOWN = 200;

/**
 * The model of a bound listener that supports the operation, otherwise its first, whose error explains what is wrong.
 */
const boundName = (directory: ModelDirectory, operation: Operation, names: readonly string[]): string =>
  names.find((name) => answersNamed(directory.find(name), operation)) ?? names[0] ?? "";

const answersNamed = (model: ModelSpec | undefined, operation: Operation): boolean =>
  model !== undefined && answers(model, operation);

/** `model_not_found` with the nearest names. */
export function notFound(models: readonly ModelSpec[], name: string): AssistantError {
  const names = models.flatMap((model) => [model.name, ...model.aliases]);
  const nearest = nearestNames(name, names);
  const choice =
    nearest.length > 0
      ? `Did you mean ${quoted(nearest)}?`
      : names.length > 0
        ? `There are ${quoted(names)}.`
        : "None is configured.";
  return new AssistantError("model_not_found", `No model is called "${name.slice(0, 100)}". ${choice}`, {
    param: "model",
    remedy: "`assistant list` shows the models; `assistant init --model-config` adds one.",
  });
}

function defaultModel(directory: ModelDirectory, operation: Operation, caller: Caller): ModelSpec {
  const named = directory.find(DEFAULT_NAME);
  if (named !== undefined && answers(named, operation)) {
    requireModel(caller, named);
    return named;
  }
  const fitting = modelsFor(caller, directory).filter((model) => answers(model, operation));
  // Models of other machines and providers may be hundreds, and must not replace the only configured one.
  const configured = fitting.filter(({ file }) => file !== "");
  const candidates = configured.length > 0 ? configured : fitting;
  const [only] = candidates;
  if (only !== undefined && candidates.length === 1) return only;
  if (only === undefined)
    throw new AssistantError("model_not_found", `No model that can ${verbOf(operation)} is configured.`, {
      param: "model",
    });
  throw new AssistantError(
    "invalid_request",
    `The field "model" is missing, and several models can ${verbOf(operation)}: ${quoted(candidates.map((model) => model.name))}.`,
    { param: "model", remedy: `Name one of them, or give one the alias "${DEFAULT_NAME}".` },
  );
}

function wrongKind(allowed: readonly ModelSpec[], model: ModelSpec, operation: Operation): AssistantError {
  const fitting = allowed.filter((other) => answers(other, operation));
  const choice =
    fitting.length > 0
      ? `For this, use ${quoted(fitting.map((other) => other.name))}.`
      : "No model that does is configured.";
  if (answers({ kind: model.kind }, operation)) {
    const message = `The program of "${model.name}" does not ${verbOf(operation)} by ${operation}; it answers ${operationsOf(model).join(" and ")}. ${choice}`;
    return new AssistantError("wrong_model_kind", message, { param: "model" });
  }
  const message = `"${model.name}" is ${modelKinds[model.kind].noun} and does not ${verbOf(operation)}. ${offers(model.capabilities)} ${choice}`;
  return new AssistantError("wrong_model_kind", message, { param: "model" });
}

const verbOf = (operation: Operation): string =>
  Object.values(modelKinds).find(({ operations }) => operations.includes(operation))?.verb ?? operation;
