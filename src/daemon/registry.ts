import { Hub } from "../models/hub.ts";
import { PresetShelf } from "../models/presets/shelf.ts";
import { Uploads } from "../models/uploads.ts";
import { Library } from "../registry/library.ts";
import { Registry } from "../registry/registry.ts";
import type { Stores } from "../store/stores.ts";
import type { Components } from "./components.ts";
import type { Current } from "./current.ts";

/** The daemon's knowledge of models that it does not have yet. */
export interface Offer {
  readonly registry: Registry;
  readonly library: Library;
  readonly hub: Hub;
  readonly presets: PresetShelf;
}

export function createOffer(
  current: Current,
  { modelStore: store, headers, memory, pulls }: Pick<Components, "modelStore" | "headers" | "memory" | "pulls">,
  stores: Pick<Stores, "data">,
  reload: () => Promise<unknown>,
): Offer {
  const { env } = current;
  const presets = new PresetShelf(current.config.paths, env);
  const registry = new Registry({
    env,
    store,
    config: () => current.config,
    hardware: async () => {
      await memory.measure();
      return current.hardware;
    },
    presets: () => presets.presets(),
    pull: async (reference, name) => {
      const { id } = pulls.start({ reference, name, configure: false });
      await pulls.result(id);
    },
    reload,
  });
  const library = new Library({
    store,
    readHeader: headers.read,
    uploads: new Uploads(store),
    registry,
    config: () => current.config,
    importFile: async (file, name) => {
      const { pull } = await import("../models/pull.ts");
      return await pull(file, { store, env, name });
    },
  });
  return { registry, library, hub: new Hub({ env, documents: stores.data }), presets };
}
