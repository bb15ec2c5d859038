import type { ModelElsewhere } from "../api/models.ts";
import type { DaemonStatus } from "../api/status.ts";

const SERVED_BY = ["remote", "worker", "pipeline"] as const;

/** The models of other machines, providers, workers and pipelines. */
export function elsewhereIn({ models, nodes = [], providers = [] }: DaemonStatus): ModelElsewhere[] {
  const configured = new Set(models.map(({ name }) => name));
  const offered = providers.flatMap(({ name: provider, models: offers }) =>
    offers.filter(({ name }) => !configured.has(name)).map(({ name, kind }) => ({ name, kind, provider })),
  );
  return [
    ...models.flatMap(({ name, aliases, kind, engine }) => {
      const servedBy = SERVED_BY.find((each) => each === engine);
      if (servedBy === undefined) return [];
      const up = nodes.filter((node) => node.state === "up" && node.models.includes(name));
      return { name, aliases, kind, nodes: up.map((node) => node.name), provider: null, servedBy };
    }),
    ...offered.map((model) => ({ ...model, aliases: [], nodes: [], servedBy: "provider" as const })),
  ];
}
