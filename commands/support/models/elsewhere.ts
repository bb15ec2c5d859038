import { connectIfAnswering } from "../../../src/client/daemon-client.ts";
import type { CommandContext } from "../cli/context.ts";

/** A model that this machine has not and others have, as a running daemon knows it. */
export interface ModelElsewhere {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly kind: string;
  /** Names of the remote servers that are up and have it. */
  readonly nodes: readonly string[];
}

/** The models that requests reach only on other machines; none where no daemon runs. */
export async function modelsElsewhere(context: CommandContext): Promise<readonly ModelElsewhere[]> {
  const status = (await connectIfAnswering(context.paths))?.status;
  const remote = status?.models.filter((model) => model.engine === "remote") ?? [];
  return remote.map(({ name, aliases, kind }) => ({
    name,
    aliases,
    kind,
    nodes: (status?.nodes ?? [])
      .filter((node) => node.state === "up" && node.models.includes(name))
      .map((node) => node.name),
  }));
}

/** The one of that name or alias, or undefined. */
export const elsewhereNamed = (models: readonly ModelElsewhere[], name: string): ModelElsewhere | undefined =>
  models.find((model) => model.name === name || model.aliases.includes(name));
