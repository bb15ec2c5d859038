import { loadConfig } from "../../../src/config/load.ts";
import { AssistantError } from "../../../src/core/errors.ts";
import type { RedisStore } from "../../../src/store/redis/store.ts";
import { SqliteStore } from "../../../src/store/sqlite/store.ts";
import { openRecords, storeDirectory } from "../../../src/store/stores.ts";
import type { CommandContext } from "../cli/context.ts";

export interface StoreVisit extends AsyncDisposable {
  readonly store: SqliteStore | RedisStore;
}

/** The store of an installation whose daemon may be running. Throws `usage` if there is none. */
export async function visitStore({ env, paths }: CommandContext): Promise<StoreVisit> {
  const { cluster } = await loadConfig({ env, configFile: paths.configFile });
  const store =
    cluster === null
      ? new SqliteStore({ directory: storeDirectory(paths), guest: true, report: () => {} })
      : await openRecords({ paths, cluster }, () => {});
  if (store instanceof SqliteStore && !store.exists && store.problems.length === 0)
    throw new AssistantError("usage", `There is no store at ${store.location}: nothing has been stored yet.`);
  return { store, [Symbol.asyncDispose]: () => store.close() };
}
