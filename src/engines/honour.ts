import type { LaunchPlan } from "../core/engine.ts";
import { AssistantError } from "../core/errors.ts";
import type { EngineId } from "../core/model.ts";

/** Refuses a setting of a model file. `key` is the field as the user wrote it, `remedy` the alternative. */
export function refuse(plan: LaunchPlan, key: string, message: string, remedy: string): never {
  throw new AssistantError("config_invalid", `${plan.model.file}: ${message}`, { param: key, remedy });
}

/** Both would have to apply at once, and no engine can intersect them. */
export function refuseTwoGrammars(plan: LaunchPlan): void {
  const { grammar, jsonSchema } = plan.model.sampling;
  if (grammar !== "" && jsonSchema !== "")
    refuse(
      plan,
      "json_schema",
      "grammar and json_schema are both set; an answer can only follow one.",
      "Remove one of them.",
    );
}

/** Linux refuses longer paths of Unix sockets (108 bytes with the terminator) with an obscure message. */
export function refuseLongSocket(plan: LaunchPlan, engine: EngineId): void {
  const bytes = Buffer.byteLength(plan.socketPath);
  if (bytes <= 100 && plan.socketPath.endsWith(".sock")) return;
  throw new AssistantError(
    "internal",
    `${engine} needs a socket path of at most 100 bytes that ends in .sock; ${plan.socketPath} has ${bytes}.`,
    {
      remedy: "Choose a shorter run directory.",
    },
  );
}
