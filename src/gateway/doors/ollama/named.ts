import type { FastifyRequest } from "fastify";
import type { JsonObject } from "../../../core/inference.ts";
import type { ModelSpec } from "../../../core/model.ts";
import { modelsFor, notFound, requireModel } from "../../../inference/resolve.ts";
import { invalid, isObject } from "../../canonical/rules.ts";
import { textOf } from "./fields.ts";
import { findModel } from "./names.ts";
import type { OllamaOptions } from "./ports.ts";

/** The body of a request to a route that answers from memory. Throws `invalid_request`. */
export function bodyOf({ body }: FastifyRequest): JsonObject {
  if (isObject(body)) return body;
  throw invalid("", "The body must be a JSON object.");
}

/** The name in a body, under its older key too. Throws `invalid_request` where there is none. */
export function nameOf(body: JsonObject): string {
  const name = textOf(body, "model") || textOf(body, "name");
  if (name !== "") return name;
  throw invalid("model", 'The field "model" is missing: expected the name of a model.');
}

/** The model that a request names. Throws `model_not_found`, `insufficient_scope`. */
export function requireNamed(
  request: FastifyRequest,
  options: OllamaOptions,
  name = nameOf(bodyOf(request)),
): ModelSpec {
  const model = findModel(options.directory, name);
  if (model !== undefined) requireModel(request.identity.caller, model);
  const models = visible(request, options);
  if (model === undefined || !models.includes(model)) throw notFound(models, name);
  return model;
}

/** The models that a request may learn of. */
export function visible({ identity }: FastifyRequest, { directory, onlyModels }: OllamaOptions): readonly ModelSpec[] {
  const all = modelsFor(identity.caller, directory);
  return onlyModels === null ? all : all.filter((model) => onlyModels.includes(model.name));
}
