import type { FastifyInstance } from "fastify";
import type { JsonObject } from "../../../core/inference.ts";
import type { ModelSpec } from "../../../core/model.ts";
import { type ModelDetails, NOT_HERE } from "../../../registry/library.ts";
import { readJson } from "../../front/json-body.ts";
import { registerChanges } from "./changes.ts";
import { capabilitiesOf, detailsOf, elsewhere, parametersOf, runningOf, tagOf } from "./describe.ts";
import { flagOf } from "./fields.ts";
import { bodyOf, requireNamed, visible } from "./named.ts";
import type { OllamaOptions } from "./ports.ts";
import { weightsInfo } from "./weights-info.ts";

/** The version of Ollama's API: clients require a minimum. */
const API_VERSION = "0.17.4";
/** Clients check whether a server is running, and some whether it is Ollama. */
export const GREETING = "Ollama is running";
const open = { config: { scope: null } } as const;

/** Models: the list, details of each, and which are loaded. */
export function registerMemoryRoutes(app: FastifyInstance, options: OllamaOptions): void {
  const { directory, library, control } = options;
  // As in Ollama: whatever the content type.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "buffer" }, readJson);

  const details = (models: readonly ModelSpec[]): Promise<ReadonlyMap<string, ModelDetails>> =>
    library?.details(models) ?? Promise.resolve(new Map());

  app.get("/api/version", open, async () => ({ version: API_VERSION }));
  app.get("/api/tags", async (request) => {
    const models = visible(request, options);
    const known = await details(models);
    const tags = models.map((model) =>
      tagOf(model, known.get(model.name) ?? NOT_HERE, directory.createdAt(model.name)),
    );
    return { models: tags.sort((a, b) => String(b["modified_at"]).localeCompare(String(a["modified_at"]))) };
  });
  app.get("/api/ps", async (request) => {
    const { instances, now } = await control.status();
    const ready = instances.filter(({ state }) => state === "ready" || state === "draining");
    const models = visible(request, options).filter(({ name }) => ready.some(({ model }) => model === name));
    const known = await details(models);
    return {
      models: models.map((model) =>
        runningOf(
          model,
          known.get(model.name) ?? NOT_HERE,
          ready.filter((instance) => instance.model === model.name),
          now,
        ),
      ),
    };
  });
  app.post("/api/show", async (request) => {
    const body = bodyOf(request);
    const model = requireNamed(request, options);
    const known = (await details([model])).get(model.name) ?? NOT_HERE;
    return await shown(model, known, flagOf(body, "verbose", false), directory.createdAt(model.name));
  });
  registerChanges(app, options);
}

async function shown(
  model: ModelSpec,
  details: ModelDetails,
  verbose: boolean,
  knownSince: number,
): Promise<JsonObject> {
  const { info, template } = await weightsInfo(details.file, verbose);
  const parameters = parametersOf(model);
  return {
    ...(details.licence === null ? {} : { license: details.licence }),
    modelfile: [`FROM ${model.name}`, ...parameters.map(([name, value]) => `PARAMETER ${name} ${value}`), ""].join(
      "\n",
    ),
    parameters: parameters.map(([name, value]) => `${name.padEnd(30)} ${value}`).join("\n"),
    template,
    details: detailsOf(model, details),
    ...elsewhere(model),
    model_info: details.facts === null ? info : { ...info, "general.parameter_count": details.facts.parameters },
    capabilities: capabilitiesOf(model),
    modified_at: new Date(details.modifiedAt ?? knownSince).toISOString(),
  };
}
