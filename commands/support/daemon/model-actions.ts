import { setTimeout as delay } from "node:timers/promises";
import type { DaemonStatus, InstanceStatus, ModelStatus } from "../../../src/api/status.ts";
import { connect } from "../../../src/client/daemon-client.ts";
import { AssistantError } from "../../../src/core/errors.ts";
import { nearestNames } from "../../../src/core/nearest.ts";
import type { CommandContext } from "../cli/context.ts";
import { type ProgressStream, showProgress } from "../cli/progress.ts";

export type ModelAction = "load" | "unload" | "restart";

/** What `--json` prints. */
export interface ModelActionResult {
  readonly model: string;
  readonly action: ModelAction;
  /** Instances of it that are up now. */
  readonly instances: readonly string[];
}

const POLL_MS = 100;
const GERUNDS: Readonly<Record<ModelAction, string>> = { load: "loading", unload: "stopping", restart: "restarting" };
/** States of an instance that has a process, or is about to. */
const UP = ["starting", "ready", "draining", "stopping"];

/** Has the daemon act on a model, and returns when it has happened. Throws `model_not_found`, `daemon_not_running`, and why a load failed. */
export async function actOnModel(
  name: string,
  action: ModelAction,
  context: CommandContext,
  stream: ProgressStream,
): Promise<ModelActionResult> {
  const { client, status } = await connect(context.paths);
  const model = findModel(name, status);
  using progress = showProgress(stream, `${GERUNDS[action]} ${model.name}`);
  const before = new Set(instancesOf(status, model.name).flatMap(({ pid }) => pid ?? []));
  const since = status.now;
  await client.actOnModel(model.name, action);
  for (;;) {
    await delay(POLL_MS);
    const now = await client.status();
    const instances = instancesOf(now, model.name);
    progress.update(describe(action, model.name, instances));
    if (isDone(action, instances, before))
      return {
        model: model.name,
        action,
        instances: instances.filter(({ state }) => state === "ready").map(({ id }) => id),
      };
    const failure = action === "unload" ? null : failureOf(now, model.name, instances, since);
    if (failure !== null) throw failure;
  }
}

const instancesOf = (status: DaemonStatus, model: string): InstanceStatus[] =>
  status.instances.filter((instance) => instance.model === model);

/** Pure. `before`: the processes that ran when the action was asked for. */
export function isDone(
  action: ModelAction,
  instances: readonly Pick<InstanceStatus, "state" | "pid">[],
  before: ReadonlySet<number>,
): boolean {
  const up = instances.filter(({ state }) => UP.includes(state));
  if (action === "unload") return up.length === 0;
  const ready = up.filter(
    ({ state, pid }) => state === "ready" && pid !== null && (action === "load" || !before.has(pid)),
  );
  return action === "load"
    ? ready.length > 0
    : ready.length > 0 && !up.some(({ pid }) => pid !== null && before.has(pid));
}

function describe(action: ModelAction, model: string, instances: readonly InstanceStatus[]): string {
  const running = instances.reduce((sum, { state, inFlight }) => (state === "draining" ? sum + inFlight : sum), 0);
  if (running > 0)
    return `${GERUNDS[action]} ${model}: ${running} running ${running === 1 ? "request" : "requests"} may finish`;
  const loading = instances.find(({ state }) => state === "starting")?.loadProgress ?? null;
  return loading === null ? `${GERUNDS[action]} ${model}` : `loading ${model}, ${Math.round(loading * 100)} %`;
}

/** Why it will not be up: a start that has failed since, or no place for it. */
function failureOf(
  status: DaemonStatus,
  model: string,
  instances: readonly InstanceStatus[],
  since: number,
): AssistantError | null {
  if (instances.some(({ state }) => UP.includes(state))) return null;
  const failed = instances.find(
    ({ state, lastDeath }) => state === "failed" && lastDeath !== null && lastDeath.at >= since,
  );
  const reason = failed?.lastDeath?.message ?? status.models.find(({ name }) => name === model)?.error ?? null;
  return reason === null
    ? null
    : new AssistantError("model_failed", `${model} could not be loaded: ${reason}`, {
        remedy:
          failed === undefined
            ? "`assistant ps` shows what takes the place."
            : `\`assistant logs ${failed.id}\` tells more.`,
      });
}

function findModel(name: string, { models }: DaemonStatus): ModelStatus {
  const found = models.find((model) => model.name === name) ?? models.find(({ aliases }) => aliases.includes(name));
  if (found === undefined) {
    const near = nearestNames(name, new Set(models.flatMap((model) => [model.name, ...model.aliases])));
    throw new AssistantError("model_not_found", `No configured model is called ${JSON.stringify(name)}.`, {
      param: name,
      remedy: near.length > 0 ? `Did you mean ${near.join(" or ")}?` : "`assistant list` shows the models.",
    });
  }
  if (found.engine !== "remote") return found;
  throw new AssistantError("model_not_found", `The model ${JSON.stringify(name)} runs on other machines alone.`, {
    param: name,
    remedy: "Run the command there.",
  });
}

/** The line that a command ends with. Pure. */
export function doneText({ model, action, instances }: ModelActionResult): string {
  if (action === "unload") return `Stopped ${model}. The next request loads it again.`;
  return `${action === "load" ? "Loaded" : "Restarted"} ${model} (${instances.join(", ")}).`;
}
