import { type CommandSettings, placeholders, placeholdersIn } from "../core/command.ts";
import { type ModelSpec, modelKinds, type Operation } from "../core/model.ts";
import { nearestNames } from "../core/nearest.ts";
import type { ModelDraft } from "./draft.ts";
import type { CommandKeys } from "./schema/model.ts";
import type { SectionContext } from "./section.ts";

/**
 * Keys of a model's section that mean something whatever program runs it. The others are settings of llama.cpp's
 * engines.
 */
const GENERAL_KEYS = new Set(
  [
    "model_name model_alias source model_path aliases engine ctx_size slots threads include_usage",
    "devices main_gpu replicas replicas_min exclusive idle_ttl_s preload pin",
  ].flatMap((line) => line.split(" ")),
);

const DEFAULT_STOP_GRACE_S = 10;

/**
 * The program of a model with `engine = "command"`, and what of its kind's operations it answers. `refuse`: of a key of
 * [command].
 */
export function commandOf(
  { command, name, source }: ModelDraft,
  { kind, keys, toPath, refuse: refuseKey }: SectionContext,
  refuse: (key: string, message: string) => void,
): Pick<ModelSpec, "command" | "operations"> {
  if (command === undefined) {
    refuseKey("engine", 'there is no program: write `run = ["PROGRAM", "ARGUMENT", …]` under [command] of this file');
    return {};
  }
  for (const key of Object.keys(keys)) {
    if (!GENERAL_KEYS.has(key))
      refuseKey(
        key,
        "is a setting of the llama.cpp engines: remove it, and put the program's own arguments into `run`",
      );
  }
  const used = checkPlaceholders(command, refuse);
  if (used.has("model") && source.type === "opaque" && source.reference === "")
    refuseKey("source", "is missing, but `run` contains {model}: set it to what the program should load");
  const [program = "", ...args] = command.run ?? [];
  return {
    command: {
      run: [/^[.~]{1,2}\//.test(program) ? toPath(program) : program, ...args],
      listens: used.has("socket") ? "socket" : "port",
      ownListener: command.own_listener ?? true,
      healthPath: command.health_path ?? "/health",
      env: command.env ?? {},
      passEnv: command.pass_env ?? [],
      workingDir: command.working_dir ? toPath(command.working_dir) : "",
      stopSignal: command.stop_signal ?? "SIGTERM",
      stopGraceMs: (command.stop_grace_s ?? DEFAULT_STOP_GRACE_S) * 1000,
      servedModel: (command.served_model ?? "").replaceAll("{name}", name.name),
      memoryMib: command.memory_mib ?? null,
    } satisfies CommandSettings,
    ...operationsOf(command, kind, refuse),
  };
}

function operationsOf(
  { operations }: CommandKeys,
  kind: SectionContext["kind"],
  refuse: (key: string, message: string) => void,
): Pick<ModelSpec, "operations"> {
  if (operations === undefined) return {};
  const possible = modelKinds[kind].operations;
  const answered = possible.filter((operation) => (operations as readonly Operation[]).includes(operation));
  if (answered.length === 0)
    refuse("operations", `has none that ${modelKinds[kind].noun} supports: expected ${possible.join(" or ")}`);
  return { operations: answered };
}

/** The placeholders in `run`; unknown ones are refused. */
function checkPlaceholders(
  { run = [], env = {} }: CommandKeys,
  refuse: (key: string, message: string) => void,
): ReadonlySet<string> {
  const used = new Set(run.flatMap(placeholdersIn));
  const known = Object.keys(placeholders);
  for (const [key, names] of [
    ["run", used],
    ["env", Object.values(env).flatMap(placeholdersIn)],
  ] as const) {
    for (const name of names) {
      if (known.includes(name)) continue;
      const [near] = nearestNames(name, known, 1);
      const meant =
        near === undefined ? `known are ${known.map((each) => `{${each}}`).join(", ")}` : `did you mean {${near}}?`;
      refuse(key, `there is no placeholder {${name}}; ${meant}`);
    }
  }
  if (used.has("port") === used.has("socket"))
    refuse(
      "run",
      used.has("port")
        ? "has both {port} and {socket}; keep the one that the program listens on"
        : "needs {port} or {socket}, so that the program listens where its requests are sent",
    );
  return used;
}
