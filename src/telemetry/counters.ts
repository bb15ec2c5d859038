import type { ErrorCode } from "../core/errors.ts";
import type { FleetEvent } from "../core/fleet.ts";
import type { FinishedRequest } from "../core/request.ts";
import { Histogram } from "./histogram.ts";

/** Requests that ended in the same way. */
export interface Ending {
  readonly model: string;
  readonly instance: string;
  readonly route: string;
  readonly outcome: string;
  readonly code: string;
  count: number;
}

/** Of one model. */
export class ModelCounters {
  prompt = 0;
  cached = 0;
  completion = 0;
  readonly queue = new Histogram();
  readonly firstToken = new Histogram();
  readonly total = new Histogram();
}

/**
 * Everything that is counted as it happens, in plain numbers: a request costs two look-ups and about a dozen additions.
 * How it reads to a metrics system is `exposition.ts`, at the time of a scrape.
 */
export class Counters {
  readonly endings = new Map<string, Ending>();
  readonly models = new Map<string, ModelCounters>();
  /** Requests that the guards did not let in. */
  readonly refusals = new Map<ErrorCode, number>();
  /** By instance id. */
  readonly starts = new Map<string, number>();
  /** By instance id and cause, apart by a blank. */
  readonly ends = new Map<string, number>();

  request(fields: FinishedRequest): void {
    const { route, end, code = "" } = fields;
    const model = fields.model ?? "";
    const instance = fields.instance ?? "";
    const key = `${model} ${instance} ${route} ${end} ${code}`;
    const ending = this.endings.get(key);
    if (ending === undefined) this.endings.set(key, { model, instance, route, outcome: end, code, count: 1 });
    else ending.count += 1;
    const counters = this.models.get(model) ?? this.#begin(model);
    counters.prompt += fields.promptTokens ?? 0;
    counters.cached += fields.cachedTokens ?? 0;
    counters.completion += fields.completionTokens ?? 0;
    counters.queue.observe(fields.queueMs);
    counters.firstToken.observe(fields.ttftMs);
    counters.total.observe(fields.totalMs);
  }

  #begin(model: string): ModelCounters {
    const counters = new ModelCounters();
    this.models.set(model, counters);
    return counters;
  }

  readonly refused = (code: ErrorCode): void => add(this.refusals, code);

  instance(event: FleetEvent): void {
    if (event.type !== "transition") return;
    const { id, state, lastDeath } = event.snapshot;
    if (state === "starting") add(this.starts, id);
    else if ((state === "failed" || state === "absent") && event.from !== "failed" && lastDeath !== null) add(this.ends, `${id} ${lastDeath.cause}`);
  }
}

const add = <Key>(counts: Map<Key, number>, key: Key): void => void counts.set(key, (counts.get(key) ?? 0) + 1);
