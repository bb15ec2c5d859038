import type { Engine } from "../../core/engine.ts";
import { AssistantError } from "../../core/errors.ts";
import { supportsDevice } from "../backends.ts";
import { llamaServerArguments } from "./arguments.ts";
import type { FoundEngine } from "./installation.ts";

/** The native engine: llama.cpp's own server, built here or found on the machine. `find` is called once. */
export function createLlamaServerEngine(find: () => Promise<FoundEngine>): Engine {
  let looked: Promise<FoundEngine> | null = null;
  let found: FoundEngine | null = null;

  return {
    id: "llama-server",
    async availability() {
      looked ??= find();
      found = await looked;
      return found;
    },
    launch(plan) {
      if (!found?.available) throw new AssistantError("engine_unavailable", "There is no llama-server to run.", { remedy: "Run `assistant engine build`." });
      if (!supportsDevice(found, plan.device)) {
        // It would start, and compute on the CPU under the name of a GPU.
        throw new AssistantError("engine_unavailable", `${found.path} was built without support for ${plan.device.id}.`, {
          remedy: 'Run `assistant engine build --force` where the GPU\'s toolkit is installed, or set `devices = ["cpu"]` for the model.',
        });
      }
      return { command: found.path, args: llamaServerArguments(plan), env: plan.device.env };
    },
  };
}
