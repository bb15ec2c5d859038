import { join } from "node:path";
import type { Paths } from "../core/config.ts";
import type { Documents } from "../core/documents.ts";
import { JsonDocuments } from "./json-documents.ts";
import { SqliteStore } from "./sqlite/store.ts";

/** Everything that an installation remembers. */
export interface Stores {
  /** Durable records. Whoever opened the stores closes it. */
  readonly records: SqliteStore;
  /** Usage of API keys, memory estimates. */
  readonly data: Documents;
  /** The chosen engine. */
  readonly engines: Documents;
  /** The engines that run now. */
  readonly run: Documents;
  /** What is known about each pulled model. */
  readonly manifests: Documents;
}

/** Where the durable records of an installation are. */
export const storeDirectory = ({ dataDir }: Pick<Paths, "dataDir">): string => join(dataDir, "store");

/**
 * Opens the stores of an installation; nothing is read or made yet. `report` is called with a sentence for people when a
 * document is damaged.
 */
export function openStores(
  paths: Pick<Paths, "dataDir" | "enginesDir" | "runDir" | "weightsDir">,
  report: (problem: string) => void,
): Stores {
  const folder = (directory: string, fileMode: number | null, directoryMode: number | null): Documents =>
    new JsonDocuments({ directory, fileMode, directoryMode, report });
  return {
    records: new SqliteStore({ directory: storeDirectory(paths), report }),
    data: folder(paths.dataDir, 0o600, 0o700),
    engines: folder(paths.enginesDir, null, null),
    run: folder(paths.runDir, 0o600, 0o700),
    // Who pulls a model, often root, need not be the user that the daemon runs as.
    manifests: folder(paths.weightsDir, 0o644, 0o755),
  };
}
