import { connectIfAnswering } from "../../../src/client/daemon-client.ts";
import type { CommandContext } from "../cli/context.ts";

/** A model that this machine has not and other machines or providers have, as a running daemon knows it. */
export interface ModelElsewhere {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly kind: string;
  /** Names of the remote servers that are up and have it; none for a provider's. */
  readonly nodes: readonly string[];
  /** The provider that offers it, or null. */
  readonly provider: string | null;
  /** Registered workers serve it. */
  readonly atWorkers: boolean;
}

/** The models that requests reach only on other machines or at providers; none where no daemon runs. */
export async function modelsElsewhere(context: CommandContext): Promise<readonly ModelElsewhere[]> {
  const status = (await connectIfAnswering(context.paths))?.status;
  const remote = status?.models.filter(({ engine }) => engine === "remote" || engine === "worker") ?? [];
  const configured = new Set(status?.models.map(({ name }) => name));
  const offered = (status?.providers ?? []).flatMap(({ name: provider, models }) =>
    models.filter(({ name }) => !configured.has(name)).map(({ name, kind }) => ({ name, kind, provider })),
  );
  return [
    ...remote.map(({ name, aliases, kind, engine }) => ({
      name,
      aliases,
      kind,
      nodes: (status?.nodes ?? [])
        .filter((node) => node.state === "up" && node.models.includes(name))
        .map((node) => node.name),
      provider: null,
      atWorkers: engine === "worker",
    })),
    ...offered.map((model) => ({ ...model, aliases: [], nodes: [], atWorkers: false })),
  ];
}

/** The one of that name or alias, or undefined. */
export const elsewhereNamed = (models: readonly ModelElsewhere[], name: string): ModelElsewhere | undefined =>
  models.find((model) => model.name === name || model.aliases.includes(name));
