import type { DaemonStatus, InstanceStatus, ModelStatus } from "../../../src/api/status.ts";
import { connect } from "../../../src/client/daemon-client.ts";
import { AssistantError } from "../../../src/core/errors.ts";
import { nearestNames } from "../../../src/core/nearest.ts";
import { actOn, type ModelAction } from "../../../src/registry/act.ts";
import type { CommandContext } from "../cli/context.ts";
import { type ProgressStream, showProgress } from "../cli/progress.ts";

/** What `--json` prints. */
export interface ModelActionResult {
  readonly model: string;
  readonly action: ModelAction;
  /** Instances of it that are up now. */
  readonly instances: readonly string[];
}

const GERUNDS: Readonly<Record<ModelAction, string>> = { load: "loading", unload: "stopping", restart: "restarting" };

/**
 * Has the daemon act on a model, and returns when it has happened. Throws `model_not_found`, `daemon_not_running`, and
 * why a load failed.
 */
export async function actOnModel(
  name: string,
  action: ModelAction,
  context: CommandContext,
  stream: ProgressStream,
): Promise<ModelActionResult> {
  const { client, status } = await connect(context.paths);
  const model = findModel(name, status);
  using progress = showProgress(stream, `${GERUNDS[action]} ${model.name}`);
  const daemon = { status: () => client.status(), act: () => client.actOnModel(model.name, action) };
  const instances = await actOn(daemon, model.name, action, {
    onChange: (now) => progress.update(describe(action, model.name, now)),
  });
  return {
    model: model.name,
    action,
    instances: instances.filter(({ state }) => state === "ready").map(({ id }) => id),
  };
}

function describe(action: ModelAction, model: string, instances: readonly InstanceStatus[]): string {
  const running = instances.reduce((sum, { state, inFlight }) => (state === "draining" ? sum + inFlight : sum), 0);
  if (running > 0)
    return `${GERUNDS[action]} ${model}: ${running} running ${running === 1 ? "request" : "requests"} may finish`;
  return `${GERUNDS[action]} ${model}`;
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
  if (found.engine === "provider")
    throw new AssistantError("model_not_found", `The model ${JSON.stringify(name)} is served by a provider.`, {
      param: name,
      remedy: "There is nothing to load or stop: `assistant provider list` shows the provider's status.",
    });
  if (found.engine !== "remote") return found;
  throw new AssistantError("model_not_found", `The model ${JSON.stringify(name)} only runs on other machines.`, {
    param: name,
    remedy: "Run the command there.",
  });
}

/** The line that a command ends with. Pure. */
export function doneText({ model, action, instances }: ModelActionResult): string {
  if (action === "unload") return `Stopped ${model}. The next request loads it again.`;
  return `${action === "load" ? "Loaded" : "Restarted"} ${model} (${instances.join(", ")}).`;
}
