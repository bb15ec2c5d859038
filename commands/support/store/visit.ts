import type { Paths } from "../../../src/core/config.ts";
import { AssistantError } from "../../../src/core/errors.ts";
import { SqliteStore } from "../../../src/store/sqlite/store.ts";
import { storeDirectory } from "../../../src/store/stores.ts";

export interface StoreVisit extends AsyncDisposable {
  readonly directory: string;
  readonly store: SqliteStore;
}

/** The store of an installation whose daemon may run. Throws `usage` where there is none. */
export function visitStore(paths: Pick<Paths, "dataDir">): StoreVisit {
  const directory = storeDirectory(paths);
  const store = new SqliteStore({ directory, guest: true, report: () => {} });
  if (!store.exists && store.problems.length === 0)
    throw new AssistantError("usage", `There is no store at ${store.location}: nothing was ever kept.`);
  return { directory, store, [Symbol.asyncDispose]: () => store.close() };
}
