import { connectIfAnswering } from "../../../src/client/daemon-client.ts";
import type { CommandContext } from "../cli/context.ts";

/** A model that no engine of this machine runs, as a running daemon knows it. */
export interface ModelElsewhere {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly kind: string;
  /** Names of the remote servers that are up and have it; none for a provider's. */
  readonly nodes: readonly string[];
  /** The provider that offers it, or null. */
  readonly provider: string | null;
  readonly servedBy: "remote" | "worker" | "pipeline" | "provider";
}

const SERVED_BY = ["remote", "worker", "pipeline"] as const;

/** The models of other machines, providers, workers and pipelines; none where no daemon runs. */
export async function modelsElsewhere(context: CommandContext): Promise<readonly ModelElsewhere[]> {
  const status = (await connectIfAnswering(context.paths))?.status;
  const configured = new Set(status?.models.map(({ name }) => name));
  const offered = (status?.providers ?? []).flatMap(({ name: provider, models }) =>
    models.filter(({ name }) => !configured.has(name)).map(({ name, kind }) => ({ name, kind, provider })),
  );
  return [
    ...(status?.models ?? []).flatMap(({ name, aliases, kind, engine }) => {
      const servedBy = SERVED_BY.find((each) => each === engine);
      if (servedBy === undefined) return [];
      const nodes = (status?.nodes ?? []).filter((node) => node.state === "up" && node.models.includes(name));
      return { name, aliases, kind, nodes: nodes.map((node) => node.name), provider: null, servedBy };
    }),
    ...offered.map((model) => ({ ...model, aliases: [], nodes: [], servedBy: "provider" as const })),
  ];
}

/** The one of that name or alias, or undefined. */
export const elsewhereNamed = (models: readonly ModelElsewhere[], name: string): ModelElsewhere | undefined =>
  models.find((model) => model.name === name || model.aliases.includes(name));
