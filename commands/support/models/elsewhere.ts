import type { ModelElsewhere } from "../../../src/api/models.ts";
import { connectIfAnswering } from "../../../src/client/daemon-client.ts";
import { elsewhereIn } from "../../../src/registry/elsewhere.ts";
import type { CommandContext } from "../cli/context.ts";

/** The models of other machines, providers, workers and pipelines; none where no daemon runs. */
export async function modelsElsewhere(context: CommandContext): Promise<readonly ModelElsewhere[]> {
  const connection = await connectIfAnswering(context.paths);
  return connection === null ? [] : elsewhereIn(connection.status);
}

/** The one of that name or alias, or undefined. */
export const elsewhereNamed = (models: readonly ModelElsewhere[], name: string): ModelElsewhere | undefined =>
  models.find((model) => model.name === name || model.aliases.includes(name));
