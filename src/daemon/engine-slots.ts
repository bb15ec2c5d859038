import type { InstanceSnapshot } from "../core/instance.ts";
import { callEngine, parseAnswer } from "../engines/call.ts";
import type { RunningSlots } from "../gateway/ports.ts";

const TIMEOUT_MS = 2_000;

/** Asks the ready instances of a model. One that has no slots, or does not answer in time, is left out. */
export const engineSlots =
  (instances: () => readonly InstanceSnapshot[]): RunningSlots =>
  async (model) => {
    const ready = instances().filter((instance) => instance.model === model && instance.state === "ready");
    const found = await Promise.all(
      ready.map(async ({ id, endpoint, traits }) => {
        if (endpoint === null || traits.onlyOpenAi === true) return [];
        const asked = callEngine(endpoint, "GET", "/slots", null, AbortSignal.timeout(TIMEOUT_MS));
        const answer = parseAnswer((await asked.catch(() => ({ body: "" }))).body);
        return Array.isArray(answer) ? answer.map((slot: Record<string, unknown>) => ({ instance: id, slot })) : [];
      }),
    );
    return found.flat();
  };
