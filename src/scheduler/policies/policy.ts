import type { InstanceRecord, ModelRecord, RequestRecord, Routing } from "../records.ts";
/** A free slot, taken as it is. The caller has seen that there is one. */
export function firstFree(model: ModelRecord, request: RequestRecord): Routing {
  const instance = model.available.peek();
  if (instance === undefined) throw new Error(`no instance of ${model.name} has a free slot`);
  return take(model, instance, request);
}

export const take = (model: ModelRecord, instance: InstanceRecord, request: RequestRecord): Routing => ({
  type: "dispatch",
  instance,
  cachedTokens: cachedOn(model, instance, request),
});

export const cachedOn = (model: ModelRecord, instance: InstanceRecord, request: RequestRecord): number =>
  Math.min(model.prefixes.cachedTokens(instance, request.facts.prefix), request.facts.promptTokens);
