import { statSync } from "node:fs";
import { type CommandSettings, filledIn, type Placeholder } from "../../core/command.ts";
import { type Engine, type LaunchPlan, type ProcessSpec, traitsOf } from "../../core/engine.ts";
import { AssistantError } from "../../core/errors.ts";
import type { ModelSpec } from "../../core/model.ts";
import { refuse } from "../honour.ts";
import { createCommandProbe } from "./probe.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Any server with OpenAI's API, as a command line in the model's file. `env`: the daemon's own environment. */
export function createCommandEngine(env: Environment): Engine {
  return {
    id: "command",
    traits: traitsOf("command"),
    // Which program it is differs from model to model; whether it can be run shows when it is.
    availability: () =>
      Promise.resolve({
        ...{ available: true, path: "", version: "", backends: [] },
        ...{ noticesDisconnects: false, separatesCaches: false, onlyOpenAi: true },
      }),
    listens(model) {
      const { listens, ownListener } = settingsOf(model);
      return listens === "socket" ? { type: "socket" } : { type: "port", ownListener };
    },
    probe: (model) => createCommandProbe(model, settingsOf(model)),
    launch: (plan) => launch(plan, settingsOf(plan.model), env),
  };
}

function settingsOf({ name, command }: ModelSpec): CommandSettings {
  if (command !== undefined) return command;
  throw new AssistantError("internal", `The model "${name}" has no command line.`);
}

function launch(plan: LaunchPlan, settings: CommandSettings, env: Environment): ProcessSpec {
  const values = placeholderValues(plan);
  const [command = "", ...args] = settings.run.map((part) => filledIn(part, values));
  const { workingDir, passEnv, stopSignal, stopGraceMs } = settings;
  if (workingDir !== "" && statSync(workingDir, { throwIfNoEntry: false })?.isDirectory() !== true)
    refuse(
      plan,
      "working_dir",
      `working_dir is ${workingDir}, which is no directory.`,
      "Create it, or correct the path.",
    );
  const passed = passEnv.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]] as const]));
  const set = Object.entries(settings.env).map(([name, value]) => [name, filledIn(value, values)] as const);
  return {
    command,
    args,
    // What hides the other devices is not to be undone by chance, and can be undone on purpose.
    env: { ...Object.fromEntries(passed), ...plan.device.env, ...Object.fromEntries(set) },
    ...(workingDir === "" ? {} : { cwd: workingDir }),
    stop: { signal: stopSignal, graceMs: stopGraceMs },
  };
}

const placeholderValues = ({
  model,
  modelPath,
  socketPath,
  port,
  device,
  threads,
}: LaunchPlan): Readonly<Record<Placeholder, string>> => ({
  model: modelPath,
  name: model.name,
  port: String(port ?? ""),
  socket: socketPath,
  device: device.id.replace(/:\d+$/, ":0"),
  threads: String(threads),
  context: String(model.load.contextTokens),
  slots: String(model.load.slots),
});
