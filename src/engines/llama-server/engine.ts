import { type Engine, traitsOf } from "../../core/engine.ts";
import { AssistantError } from "../../core/errors.ts";
import { supportsDevice } from "../backends.ts";
import { refuse } from "../honour.ts";
import { llamaServerArguments } from "./arguments.ts";
import { type FoundEngine, helpOf } from "./installation.ts";
import { settingArguments } from "./settings.ts";

/**
 * Threads of GNU OpenMP spin for long at each barrier, which is right if each has its own core. When another program
 * takes one of the cores, they spin for a thread that is not even running: 2 to 8 tokens/s instead of 15 to 34 next to
 * two busy programs on two cores. A thousand rounds, some microseconds, are as fast at a barrier on an idle machine.
 */
const patience = { GOMP_SPINCOUNT: "1000" };

/** The native engine: llama.cpp's own server, built here or found on the machine. `find` is called once. */
export function createLlamaServerEngine(find: () => Promise<FoundEngine>): Engine {
  let looked: Promise<FoundEngine> | null = null;
  let found: FoundEngine | null = null;
  let help: Promise<ReadonlySet<string> | null> | null = null;

  return {
    id: "llama-server",
    traits: traitsOf("llama-server"),
    async availability() {
      looked ??= find();
      found = await looked;
      return found;
    },
    async check(plan) {
      const wanted = settingArguments(plan);
      if (wanted.length === 0 || !found?.available) return;
      help ??= helpOf(found.path);
      const known = await help;
      for (const { key, args } of known === null ? [] : wanted)
        if (known !== null && !known.has(args[0]))
          refuse(
            plan,
            key,
            `${found.path} (version ${found.version}) has no ${args[0]}, which \`${key}\` needs.`,
            "Run `assistant engine build`, or remove the setting.",
          );
    },
    launch(plan) {
      if (!found?.available)
        throw new AssistantError("engine_unavailable", "There is no llama-server to run.", {
          remedy: "Run `assistant engine build`.",
        });
      if (!supportsDevice(found, plan.device)) {
        // It would start, and compute on the CPU under the name of a GPU.
        throw new AssistantError(
          "engine_unavailable",
          `${found.path} was built without support for ${plan.device.id}.`,
          {
            remedy:
              'Run `assistant engine build` where its driver is installed, or set `devices = ["cpu"]` for the model.',
          },
        );
      }
      const lending = found.followsThreads ? plan.lending : undefined;
      const { lending: _, ...fixed } = plan;
      const args = llamaServerArguments(lending === undefined ? fixed : plan);
      const follow = lending === undefined ? {} : { LLAMA_SERVER_THREADS_FILE: lending.file };
      return { command: found.path, args, env: { ...patience, ...plan.device.env, ...follow } };
    },
  };
}
