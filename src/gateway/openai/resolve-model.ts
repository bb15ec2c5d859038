import { AssistantError } from "../../core/errors.ts";
import type { ModelKind, ModelSpec } from "../../core/model.ts";
import { nearestNames } from "../../core/nearest.ts";
import type { ModelDirectory } from "../ports.ts";

/** Models that answer requests without a `model`, where there are several of a kind. */
const DEFAULT_NAME = "default";

/**
 * The model of a request. Without a name: the one called `default`, else the only one of the kind. On a
 * listener that serves `onlyModels`, the one of the right kind stands for every name. Throws `model_not_found`, `wrong_model_kind`, `invalid_request`.
 */
export function resolveModel(directory: ModelDirectory, wanted: unknown, kind: ModelKind, onlyModels: readonly string[] | null): ModelSpec {
  const name = onlyModels === null ? (typeof wanted === "string" ? wanted : "") : boundName(directory, kind, onlyModels);
  if (name === "") return defaultModel(directory, kind);
  const model = directory.find(name);
  if (model === undefined) throw notFound(directory, name);
  if (model.kind !== kind) throw wrongKind(directory, model, kind);
  return model;
}

/** The model of a bound listener that does what the route asks for, else its first: the caller says what is wrong with that. */
const boundName = (directory: ModelDirectory, kind: ModelKind, names: readonly string[]): string =>
  names.find((name) => directory.find(name)?.kind === kind) ?? names[0] ?? "";

/** `model_not_found` with the nearest names. */
export function notFound(directory: ModelDirectory, name: string): AssistantError {
  const names = directory.all().flatMap((model) => [model.name, ...model.aliases]);
  const nearest = nearestNames(name, names);
  const choice =
    nearest.length > 0 ? `Did you mean ${quoted(nearest)}?` : names.length > 0 ? `There are ${quoted(names.slice(0, 10))}.` : "None is configured.";
  return new AssistantError("model_not_found", `No model is called "${name.slice(0, 100)}". ${choice}`, {
    param: "model",
    remedy: "`assistant list` shows the models; `assistant init --model-config` adds one.",
  });
}

function defaultModel(directory: ModelDirectory, kind: ModelKind): ModelSpec {
  const named = directory.find(DEFAULT_NAME);
  if (named?.kind === kind) return named;
  const candidates = directory.all().filter((model) => model.kind === kind);
  const [only] = candidates;
  if (only !== undefined && candidates.length === 1) return only;
  if (only === undefined) throw new AssistantError("model_not_found", `No ${kind} model is configured.`, { param: "model" });
  throw new AssistantError(
    "invalid_request",
    `The field "model" is missing, and there are several ${kind} models: ${quoted(candidates.map((model) => model.name))}.`,
    {
      param: "model",
      remedy: `Name one of them, or give one the alias "${DEFAULT_NAME}".`,
    },
  );
}

function wrongKind(directory: ModelDirectory, model: ModelSpec, kind: ModelKind): AssistantError {
  const fitting = directory.all().filter((other) => other.kind === kind);
  const choice = fitting.length > 0 ? `For this, use ${quoted(fitting.map((other) => other.name))}.` : `No ${kind} model is configured.`;
  const what = kind === "chat" ? "generate text" : "make embeddings";
  return new AssistantError(
    "wrong_model_kind",
    `"${model.name}" is ${model.kind === "chat" ? "a chat" : "an embedding"} model and does not ${what}. ${choice}`,
    {
      param: "model",
    },
  );
}

const quoted = (names: readonly string[]): string => names.map((name) => `"${name}"`).join(", ");
