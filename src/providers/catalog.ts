import type { ModelKind, ModelSpec, ProviderOffer } from "../core/model.ts";
import type { Provider } from "../core/provider.ts";
import { servedElsewhere } from "../core/remote.ts";
import type { ListedModel } from "../upstreams/connector.ts";
import { byName } from "../upstreams/http/model-list.ts";

/**
 * A model of a provider that no file names, under the name `PROVIDER/MODEL`, or its own where the provider was
 * registered for some kinds.
 */
export function offeredModels(provider: Provider, listed: readonly ListedModel[]): ModelSpec[] {
  const { kinds } = provider;
  return offersOf(provider, listed).flatMap(({ id, kind: stated, contextTokens }) => {
    const kind = kinds === undefined ? stated : registeredKind(stated, kinds);
    return kind === null
      ? []
      : servedElsewhere({
          name: kinds === undefined ? `${provider.name}/${id}` : id,
          aliases: [],
          kind,
          source: { type: "provider", offers: [{ provider: provider.name, model: id }] },
          contextTokens: contextTokens ?? 0,
          slots: provider.maxConcurrency,
          nodes: [provider.name],
          fingerprint: `provider ${provider.name} ${id}`,
        });
  });
}

/** Names are a weak indication: the registration states what a server's models are for. */
const registeredKind = (stated: ModelKind | null, kinds: readonly ModelKind[]): ModelKind | null =>
  stated !== null && kinds.includes(stated) ? stated : (kinds[0] ?? null);

/** Models of the same name and kind as one that all their providers serve. */
export function joinedModels(models: readonly ModelSpec[]): ModelSpec[] {
  const byName = new Map<string, ModelSpec>();
  for (const model of models) {
    const before = byName.get(model.name);
    if (before === undefined) byName.set(model.name, model);
    else if (before.kind === model.kind) byName.set(model.name, joined(before, model));
  }
  return [...byName.values()];
}

const offersIn = ({ source }: ModelSpec): readonly ProviderOffer[] => (source.type === "provider" ? source.offers : []);

const joined = (one: ModelSpec, other: ModelSpec): ModelSpec => ({
  ...one,
  source: { type: "provider", offers: [...offersIn(one), ...offersIn(other)] },
  load: { ...one.load, slots: Math.max(one.load.slots, other.load.slots) },
  nodes: [...(one.nodes ?? []), ...(other.nodes ?? [])],
  fingerprint: `${one.fingerprint}, ${other.fingerprint}`,
});

/**
 * What `models` of its entry leaves of its list. A whole name is offered although the list lacks it, or there is none.
 */
function offersOf({ models }: Provider, listed: readonly ListedModel[]): readonly ListedModel[] {
  if (models === null) return listed;
  const found = listed.filter(({ id }) => models.some((pattern) => matches(pattern, id)));
  const missing = models.filter((name) => !name.includes("*") && !listed.some(({ id }) => id === name));
  return [...found, ...missing.map((id) => ({ id, kind: byName(id) ?? "chat", contextTokens: null }))];
}

/** `*` matches any characters. */
function matches(pattern: string, id: string): boolean {
  const parts = pattern.split("*");
  const [first = "", ...rest] = parts;
  const last = rest.pop();
  if (last === undefined) return id === pattern;
  if (!id.startsWith(first)) return false;
  let at = first.length;
  for (const part of rest) {
    const found = id.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return id.length - last.length >= at && id.endsWith(last);
}
