import { type ModelSource, type ModelSpec, modelKinds, type ProviderOffer } from "../core/model.ts";
import { nearestNames } from "../core/nearest.ts";
import type { ProviderType } from "../core/provider.ts";
import { servedElsewhere } from "../core/remote.ts";
import { at, type ModelDraft, ownSource, type ReadContext, UNNAMED } from "./draft.ts";
import type { Findings, Place } from "./findings.ts";
import { fingerprint } from "./fingerprint.ts";
import { type SectionKeys, samplingDefaults } from "./section.ts";

/** Keys of a section that mean something where a provider serves the model. */
const MEANT: ReadonlySet<string> = new Set([
  ...["model_name", "model_alias", "aliases", "provider", "provider_model", "fallbacks", "capabilities"],
  ...["ctx_size", "include_usage"],
]);

/** Keys of sampling that each API has a field for: they are sent where a request does not say otherwise. */
const SAMPLING: Readonly<Record<ProviderType, ReadonlySet<string>>> = {
  "openai-compatible": new Set([
    ...["temp", "top_p", "top_k", "min_p", "repeat_penalty", "presence_penalty", "frequency_penalty"],
    ...["n_predict", "reverse_prompt"],
  ]),
  anthropic: new Set(["temp", "top_p", "top_k", "n_predict", "reverse_prompt"]),
  google: new Set(["temp", "top_p", "top_k", "presence_penalty", "frequency_penalty", "n_predict", "reverse_prompt"]),
};

const listOf = (written: string | readonly string[] | undefined): readonly string[] =>
  written === undefined ? [] : typeof written === "string" ? [written] : written;

/**
 * The source of a section's model: the providers it names, otherwise its weights. Null if it names neither, or invalid
 * ones (which is reported).
 */
export function sourceOf(context: ReadContext, keys: SectionKeys, section: Place): ModelSource | null {
  if (keys.provider !== undefined) return providerSource(context, keys, section);
  if (keys.provider_model !== undefined)
    context.findings.error(at(section, "provider_model"), "`provider` is missing: name one of the [[providers]]");
  return ownSource(context, keys, section);
}

function providerSource({ findings, providers }: ReadContext, keys: SectionKeys, section: Place): ModelSource | null {
  const refuse = (key: string, message: string): null => {
    findings.error(at(section, key), message);
    return null;
  };
  for (const key of ["source", "model_path"] as const)
    if (keys[key])
      return refuse(
        key,
        "conflicts with `provider`; keep one of the two (to fall back from a local model to a provider's, " +
          "use `fallbacks`)",
      );
  const names = listOf(keys.provider);
  const known = providers.map(({ name }) => name);
  for (const name of names) {
    if (known.includes(name)) continue;
    const [near] = nearestNames(name, known, 1);
    const hint =
      near === undefined ? "; add a [[providers]] entry to config.toml" : ` (did you mean ${JSON.stringify(near)}?)`;
    return refuse("provider", `no provider is called ${JSON.stringify(name)}${hint}`);
  }
  if (new Set(names).size < names.length) return refuse("provider", "names a provider twice; remove one");
  const models = modelsOf(keys, names.length);
  if (typeof models === "string") return refuse("provider_model", models);
  return {
    type: "provider",
    offers: names.map((provider, index): ProviderOffer => ({ provider, model: models[index] ?? "" })),
  };
}

/** One per provider, or a single one for all. Returns a sentence about the problem. */
function modelsOf(keys: SectionKeys, count: number): readonly string[] | string {
  const named = keys.model_name === UNNAMED ? undefined : keys.model_name;
  const written = listOf(keys.provider_model ?? named).filter((model) => model !== "");
  if (written.length === 0) return 'is missing: expected the provider\'s own name of the model, such as "gpt-4o-mini"';
  if (written.some((model) => !/^[\x21-\x7e]{1,200}$/.test(model)))
    return "expected the provider's own name of the model: up to 200 printable characters without spaces";
  if (written.length === 1) return Array<string>(count).fill(written[0] ?? "");
  return written.length === count
    ? written
    : `expected one name, or one for each of the ${count} providers, found ${written.length}`;
}

/**
 * The model of a draft whose source is a provider; null if it has keys that a provider does not support (which is
 * reported).
 */
export function providerSpec(
  findings: Findings,
  { name, kind, source, keys, section }: ModelDraft & { readonly source: Extract<ModelSource, { type: "provider" }> },
  providers: ReadContext["providers"],
): ModelSpec | null {
  const nodes = source.offers.map(({ provider }) => provider);
  const asked = providers.filter((entry) => nodes.includes(entry.name));
  let refused = false;
  const refuse = (key: string, message: string): void => {
    refused = true;
    findings.error(at(section, key), message, `. The model ${JSON.stringify(name.name)} is left out`);
  };
  for (const key of Object.keys(keys).filter((each) => !MEANT.has(each))) {
    const unable = asked.find(({ type }) => !SAMPLING[type].has(key));
    if (!modelKinds[kind].generates || !SAMPLING["openai-compatible"].has(key))
      refuse(key, "has no effect on a model that a provider serves; remove it");
    else if (unable !== undefined)
      refuse(
        key,
        `the API of the provider ${JSON.stringify(unable.name)} (${unable.type}) has no such setting; remove it`,
      );
  }
  if (refused) return null;
  const warn = (key: string, message: string): void => findings.warning(at(section, key), message);
  const sampling = samplingDefaults({ keys, kind, refuse, warn });
  return {
    ...servedElsewhere({
      name: name.name,
      aliases: [],
      kind,
      source,
      contextTokens: keys.ctx_size ?? 0,
      slots: Math.max(...asked.map((entry) => entry.maxConcurrency)),
      nodes,
      fingerprint: fingerprint({ kind, source }),
    }),
    sampling,
    includeUsage: keys.include_usage ?? false,
    file: section.source.file,
  };
}

/** Reports fallbacks that can never be used. The models of other machines and providers are not known here. */
export function checkFallbacks(
  findings: Findings,
  drafts: readonly ModelDraft[],
  models: readonly ModelSpec[],
  mayBeElsewhere: boolean,
): void {
  for (const { name, kind, keys, section } of drafts) {
    for (const [index, other] of (keys.fallbacks ?? []).entries()) {
      const place = at(section, "fallbacks", index);
      const found = models.find((model) => model.name === other || model.aliases.includes(other));
      if (found?.name === name.name) findings.warning(place, "is the model itself; remove it");
      else if (found !== undefined && found.kind !== kind)
        findings.warning(
          place,
          `${JSON.stringify(other)} is of another kind (${found.kind}), so it can never be used; remove it`,
        );
      else if (found === undefined && !mayBeElsewhere) {
        const [near] = nearestNames(
          other,
          models.flatMap((model) => [model.name, ...model.aliases]),
          1,
        );
        findings.warning(
          place,
          `no model is called ${JSON.stringify(other)}${near === undefined ? "" : ` (did you mean ${JSON.stringify(near)}?)`}`,
        );
      }
    }
  }
}
