import type { InstanceSnapshot } from "../core/instance.ts";
import type { Current } from "./current.ts";

/**
 * What people should know of the engines: that there is a faster one to be had, or that one is there now which some
 * instances do not run on yet.
 */
export async function engineHints(
  { engines, models, keptFromGpus }: Pick<Current, "engines" | "models" | "keptFromGpus">,
  instances: readonly InstanceSnapshot[],
): Promise<string[]> {
  const hint = await engines.hint();
  const idle =
    keptFromGpus.length === 0
      ? []
      : [
          `No GPU is used for ${keptFromGpus.join(", ")}: the current engine has no support for it. \`assistant engine build\` builds one that does.`,
        ];
  if (hint !== null) return [...idle, hint];
  const now = await engines.choose({ engine: "auto" }).catch(() => null);
  if (now === null) return idle;
  const automatic = new Set(models.filter(({ engine }) => engine === "auto").map(({ name }) => name));
  const behind = instances.filter(
    ({ model, engine, pid }) => pid !== null && automatic.has(model) && engine !== now.id,
  );
  const names = [...new Set(behind.map(({ model }) => model))];
  if (names.length === 0) return idle;
  return [
    ...idle,
    `The engine ${now.id} is used now; ${names.join(", ")} ${names.length === 1 ? "runs" : "run"} on it from the next start (\`assistant restart MODEL\`).`,
  ];
}
