import type { ModelSpec } from "../core/model.ts";
import type { Provider } from "../core/provider.ts";
import { servedElsewhere } from "../core/remote.ts";
import type { ListedModel } from "../upstreams/connector.ts";
import { byName } from "../upstreams/http/model-list.ts";

/** A model of a provider that no file names, under the name `PROVIDER/MODEL`. */
export function offeredModels(provider: Provider, listed: readonly ListedModel[]): ModelSpec[] {
  return offersOf(provider, listed).flatMap(({ id, kind, contextTokens }) =>
    kind === null
      ? []
      : servedElsewhere({
          name: `${provider.name}/${id}`,
          aliases: [],
          kind,
          source: { type: "provider", offers: [{ provider: provider.name, model: id }] },
          contextTokens: contextTokens ?? 0,
          slots: provider.maxConcurrency,
          nodes: [provider.name],
          fingerprint: `provider ${provider.name} ${id}`,
        }),
  );
}

/** What `models` of its entry leaves of its list. A whole name is offered although the list lacks it, or there is none. */
function offersOf({ models }: Provider, listed: readonly ListedModel[]): readonly ListedModel[] {
  if (models === null) return listed;
  const found = listed.filter(({ id }) => models.some((pattern) => matches(pattern, id)));
  const missing = models.filter((name) => !name.includes("*") && !listed.some(({ id }) => id === name));
  return [...found, ...missing.map((id) => ({ id, kind: byName(id) ?? "chat", contextTokens: null }))];
}

/** `*` stands for any characters. */
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
