import type { ClusterSettings, Paths } from "../../src/core/config.ts";
import type { Store } from "../../src/core/store.ts";
import type { EngineFolder } from "../../src/engines/choice.ts";
import { HeaderCache } from "../../src/models/header-cache.ts";
import type { ModelStore } from "../../src/models/store.ts";
import { openDocuments, openRecords } from "../../src/store/stores.ts";
import { printable } from "../../src/ui/printable.ts";

// Stdout only contains the result.
const warn = (problem: string): void => void process.stderr.write(`Warning: ${printable(problem)}\n`);

/** The pulled models of an installation. */
export const modelStore = (paths: Paths): ModelStore => ({
  weightsDir: paths.weightsDir,
  manifests: openDocuments(paths, warn).manifests,
});

/** The engines of an installation. */
export const engineFolder = (paths: Paths): EngineFolder => ({
  enginesDir: paths.enginesDir,
  choices: openDocuments(paths, warn).engines,
});

/** What an installation remembers of model files. */
export const headerCache = (paths: Paths): HeaderCache => new HeaderCache(openDocuments(paths, warn).data);

/** The durable records of an installation whose daemon does not run. The caller closes it. */
export const records = (config: { readonly paths: Paths; readonly cluster: ClusterSettings | null }): Promise<Store> =>
  openRecords(config, warn);
