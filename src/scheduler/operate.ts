import type { OperationTarget, OperatorAction } from "./events.ts";
import { forgive } from "./fleet-events.ts";
import { leave, plan } from "./lifecycle.ts";
import { changed, modelChanged, setLife } from "./places.ts";
import type { InstanceRecord, ModelRecord } from "./records.ts";
import { preload } from "./scaling.ts";
import type { Turn } from "./state.ts";

/**
 * Carries out an operator's command. A target that does not exist changes nothing; the loop has reported that to the
 * operator. Requests waiting for a stopped model start it again: stopping frees memory, it does not disable a model.
 */
export function operated(turn: Turn, operation: OperatorAction, target: OperationTarget): void {
  if ("instance" in target) {
    const instance = turn.state.instances.get(target.instance);
    if (instance !== undefined) operateInstance(turn, operation, instance);
    return;
  }
  const model = turn.state.models.get(target.model);
  if (model !== undefined && !model.removed) operateModel(turn, operation, model);
}

/** A model that has no instance, or does not exist, has nothing to keep. */
export function kept(turn: Turn, name: string, idleTtlMs: number | null): void {
  const model = turn.state.models.get(name);
  if (model === undefined || model.instances.size === 0) return;
  model.idleTtlOverride = idleTtlMs;
  modelChanged(turn, model);
}

function operateModel(turn: Turn, operation: OperatorAction, model: ModelRecord): void {
  if (operation === "pin" || operation === "unpin") {
    model.pinOverride = operation === "pin";
    for (const instance of model.instances) instance.pinOverride = null;
    modelChanged(turn, model);
    return;
  }
  if (operation === "start" || operation === "restart") forgive(turn, model);
  for (const instance of [...model.instances]) operateInstance(turn, operation, instance);
  if ((operation === "start" || operation === "restart") && model.supply.future === 0) preload(turn, model, 1);
}

function operateInstance(turn: Turn, operation: OperatorAction, instance: InstanceRecord): void {
  switch (operation) {
    case "start":
      if (instance.life.phase === "failed") again(turn, instance);
      return;
    case "stop":
      forgive(turn, instance.model);
      leave(turn, instance, "stopped");
      return;
    case "restart":
      if (instance.life.phase === "failed") again(turn, instance);
      else leave(turn, instance, "stopped", true);
      return;
    case "drain":
    case "resume":
      if (instance.life.phase !== (operation === "drain" ? "ready" : "held")) return;
      turn.effects.push({ type: operation, instanceId: instance.id });
      setLife(turn, instance, { phase: operation === "drain" ? "held" : "ready" });
      return;
    case "pin":
    case "unpin":
      instance.pinOverride = operation === "pin";
      changed(turn, instance);
  }
}

function again(turn: Turn, instance: InstanceRecord): void {
  forgive(turn, instance.model);
  plan(turn, instance.model, instance.device, "restart");
}
