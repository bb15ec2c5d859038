import type { ModelList } from "../../../src/api/models.ts";
import { elsewhereIn } from "../../../src/registry/elsewhere.ts";
import { describeEntries } from "../../../src/registry/inventory.ts";
import type { CommandContext } from "../cli/context.ts";
import { headerCache } from "../stores.ts";
import { takeInventory } from "./inventory.ts";

/** What files say, where no daemon can be asked. */
export async function listHere(
  context: CommandContext,
  onRead: (done: number, all: number) => void,
): Promise<Omit<ModelList, "configFile">> {
  const { entries, mistake, status } = await takeInventory(context);
  const headers = headerCache(context.paths);
  const models = await describeEntries(entries, headers.read, onRead);
  await headers.save();
  const problem =
    mistake === null ? null : `The configuration cannot be read; only files are listed:\n${mistake.message}`;
  return { models, elsewhere: status === null ? [] : elsewhereIn(status), problem };
}
