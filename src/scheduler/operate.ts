import type { Operation, OperationTarget } from "./events.ts";
import { leave, plan } from "./lifecycle.ts";
import { account, accountAll } from "./places.ts";
import { preload } from "./scaling.ts";
import type { InstanceRecord, ModelRecord } from "./state.ts";
import { disarm, type Turn } from "./turn.ts";

/**
 * Carries out an operator's word. A target that does not exist changes nothing; the loop has told the operator.
 * Requests that wait for a model which is stopped start it again: stopping frees memory, it does not forbid a model.
 */
export function operated(turn: Turn, operation: Operation, target: OperationTarget): void {
  if ("instance" in target) {
    const instance = turn.state.instances.get(target.instance);
    if (instance !== undefined) operateInstance(turn, operation, instance);
    return;
  }
  const model = turn.state.models.get(target.model);
  if (model !== undefined && !model.removed) operateModel(turn, operation, model);
}

function operateModel(turn: Turn, operation: Operation, model: ModelRecord): void {
  if (operation === "pin" || operation === "unpin") {
    accountAll(turn, model.instances, () => {
      model.pinOverride = operation === "pin";
      for (const instance of model.instances) instance.pinOverride = null;
    });
    return;
  }
  if (operation === "start" || operation === "restart") forgive(turn, model);
  for (const instance of [...model.instances]) operateInstance(turn, operation, instance);
  if ((operation === "start" || operation === "restart") && model.future === 0) preload(turn, model, 1);
}

function operateInstance(turn: Turn, operation: Operation, instance: InstanceRecord): void {
  switch (operation) {
    case "start":
      if (instance.phase === "failed") again(turn, instance);
      return;
    case "stop":
      forgive(turn, instance.model);
      leave(turn, instance, "stopped");
      return;
    case "restart":
      if (instance.phase === "failed") again(turn, instance);
      else leave(turn, instance, "stopped", true);
      return;
    case "drain":
      if (instance.phase !== "ready") return;
      turn.effects.push({ type: "drain", instanceId: instance.id });
      hold(turn, instance, true);
      return;
    case "resume":
      if (!instance.held || instance.leaving !== null) return;
      turn.effects.push({ type: "resume", instanceId: instance.id });
      hold(turn, instance, false);
      return;
    case "pin":
    case "unpin":
      account(turn, instance, (record) => {
        record.pinOverride = operation === "pin";
      });
  }
}

function hold(turn: Turn, instance: InstanceRecord, held: boolean): void {
  account(turn, instance, (record) => {
    record.held = held;
    record.phase = held ? "draining" : "ready";
  });
}

function again(turn: Turn, instance: InstanceRecord): void {
  forgive(turn, instance.model);
  plan(turn, instance.model, instance.device, "restart");
}

/** An operator who acts knows more than the pause after a failure does. */
function forgive(turn: Turn, model: ModelRecord): void {
  model.failure = null;
  disarm(turn, model.retry);
  turn.state.dirty.add(model);
}
