import type { Device } from "../core/device.ts";
import type { ModelSpec } from "../core/model.ts";
import { type EngineSet, supportsDevice } from "../engines/index.ts";

/**
 * Ids of the devices on which models without `devices` may run, by model, if that is not all GPUs: those that the
 * engine supports, otherwise the CPU. A new machine can thus answer before an engine for its GPU has been built.
 */
export async function devicesThatFit(
  models: readonly ModelSpec[],
  devices: readonly Device[],
  engines: Pick<EngineSet, "choose">,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const gpus = devices.filter(({ vendor }) => vendor !== "cpu");
  if (gpus.length === 0) return new Map();
  const fits = models.map(async (model): Promise<readonly (readonly [string, readonly string[]])[]> => {
    if (model.devices.length > 0) return [];
    const availability = await engines.choose(model).then(
      (engine) => engine.availability(),
      () => null,
    );
    // Programs of the user's own say nothing of devices; an engine that is not there says what it lacks at the start.
    if (availability === null || !availability.available || availability.backends.length === 0) return [];
    const usable = gpus.filter((gpu) => supportsDevice(availability, gpu)).map(({ id }) => id);
    if (usable.length === gpus.length) return [];
    return [[model.name, usable.length > 0 ? usable : ["cpu"]]];
  });
  return new Map((await Promise.all(fits)).flat());
}
