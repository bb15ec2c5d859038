import { randomUUID } from "node:crypto";
import { join } from "node:path";
import type { ClusterSettings, Paths, StoreSync } from "../core/config.ts";
import type { Documents, DocumentType } from "../core/documents.ts";
import type { Store } from "../core/store.ts";
import { JsonDocuments } from "./json-documents.ts";
import type { RedisConnection } from "./redis/connection.ts";
import type { RedisStore } from "./redis/store.ts";
import { SqliteStore } from "./sqlite/store.ts";

/** What an installation keeps in files, however many daemons share its records. */
export interface DocumentStores {
  /** Usage of API keys, memory estimates. */
  readonly data: Documents;
  /** The chosen engine. */
  readonly engines: Documents;
  /** The engines that run now. */
  readonly run: Documents;
  /** What is known about each pulled model. */
  readonly manifests: Documents;
}

/** Everything that an installation remembers. */
export interface Stores extends DocumentStores {
  /** Durable records. Closed by the caller that opened the store. */
  readonly records: Store;
  /** What the daemons of a cluster share; null: a single daemon. */
  readonly cluster: RedisConnection | null;
  /** The cluster that shares the records; null: a single daemon. */
  readonly installation: string | null;
}

const installationDocument: DocumentType<{ readonly id: string }> = {
  title: "installation's id",
  schema: 1,
  durable: true,
  parse(value) {
    const { id } = (value ?? {}) as { readonly id?: unknown };
    return typeof id === "string" && id !== "" ? { id } : null;
  },
};

/** The id of an installation, created on first use. The caller holds the lock of its data directory. */
export async function installationId({ data }: Pick<DocumentStores, "data">): Promise<string> {
  const known = await data.read("installation", installationDocument);
  if (known !== null) return known.id;
  const id = randomUUID();
  await data.write("installation", installationDocument, { id });
  return id;
}

/** Path of an installation's durable records. */
export const storeDirectory = ({ dataDir }: Pick<Paths, "dataDir">): string => join(dataDir, "store");

/**
 * Opens the documents of an installation; nothing is read or made yet. `report` is called with a sentence for people
 * when a document is damaged.
 */
export function openDocuments(
  paths: Pick<Paths, "dataDir" | "enginesDir" | "runDir" | "weightsDir">,
  report: (problem: string) => void,
): DocumentStores {
  const folder = (directory: string, fileMode: number | null, directoryMode: number | null): Documents =>
    new JsonDocuments({ directory, fileMode, directoryMode, report });
  return {
    data: folder(paths.dataDir, 0o600, 0o700),
    engines: folder(paths.enginesDir, null, null),
    run: folder(paths.runDir, 0o600, 0o700),
    // The user who pulls a model, often root, need not be the daemon's.
    manifests: folder(paths.weightsDir, 0o644, 0o755),
  };
}

export interface RecordsOptions {
  readonly paths: Pick<Paths, "dataDir">;
  readonly cluster: ClusterSettings | null;
  /** Default: `always`. */
  readonly storeSync?: StoreSync;
}

/**
 * Opens the durable records: those of the cluster, or the ones in the data directory, of which nothing is read or
 * created yet. The caller closes the store. Rejects with `store_unavailable` if the cluster's cannot be reached, unless
 * it is not required now: then calls reject until it can be.
 */
export async function openRecords(
  { paths, cluster, storeSync = "always" }: RecordsOptions,
  report: (problem: string) => void,
  { isRequired = true }: { readonly isRequired?: boolean } = {},
): Promise<SqliteStore | RedisStore> {
  if (cluster === null) return new SqliteStore({ directory: storeDirectory(paths), sync: storeSync, report });
  const { RedisStore } = await import("./redis/store.ts");
  return await RedisStore.open({ url: cluster.url, report, isRequired });
}
