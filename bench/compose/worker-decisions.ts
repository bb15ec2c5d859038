import type { SchedulerSettings } from "../../src/core/config.ts";
import { type RemoteCandidate, servedElsewhere } from "../../src/core/remote.ts";
import type { RequestFacts } from "../../src/core/request.ts";
import { decide } from "../../src/scheduler/decide.ts";
import { createState } from "../../src/scheduler/state.ts";
import { quantile } from "../lib/statistics.ts";

const DECISIONS = 20_000;
const SLOTS = 4;

const settings: SchedulerSettings = {
  maxInstances: 1,
  maxLoad: 0.8,
  maxQueuedPerModel: 100,
  maxQueuedPerTenant: 1000,
  policy: "expected-time",
  maxWaitMs: 60_000,
  maxSwapWaitMs: 30_000,
  tenantWeights: new Map(),
  threadBudget: 1,
  startTimeoutMs: 60_000,
  wedgeAfterMs: 60_000,
  drainTimeoutMs: 30_000,
};

export interface DecisionTimes {
  /** Of a request that arrives and is given to a worker. */
  readonly routeP50Us: number;
  readonly routeP99Us: number;
  /** Of a worker that registers: of the first tenth, and of the last. */
  readonly firstRegistrationsUs: number;
  readonly lastRegistrationsUs: number;
}

/** What the scheduler takes where so many workers share so many names. */
export function decisionTimes(workers: number, names: number): DecisionTimes {
  const state = createState();
  let now = 1_000_000;
  decide(state, { type: "configured", config: { models: [], devices: [], settings, memoryBytes: new Map() } }, now);
  const registrations = Array.from({ length: workers }, (_, index) => {
    const name = `model-${index % names}`;
    const model = servedElsewhere({
      name,
      aliases: [],
      kind: "chat",
      source: { type: "worker" },
      contextTokens: 0,
      slots: SLOTS,
      nodes: [],
      fingerprint: name,
    });
    const candidate: RemoteCandidate = {
      name: `http://127.0.0.1:${index}/`,
      nodeId: "",
      weight: 1,
      up: true,
      maxInFlight: SLOTS,
      models: new Map([[name, { slots: SLOTS, inFlight: 0, loaded: true }]]),
    };
    const change = { nodeId: "self", candidates: [candidate], models: [model], part: { gone: [], lostModels: [] } };
    return timed(() => decide(state, { type: "remotes", change }, now));
  });
  const routes = Array.from({ length: DECISIONS }, (_, index) => {
    now += 1;
    const facts: RequestFacts = {
      id: `r${index}`,
      model: `model-${(index * 7919) % names}`,
      tenant: `t${index % 50}`,
      priority: 50,
      promptTokens: 100,
      maxTokens: 100,
      prefix: [{ hash: `h${index}`, tokens: 90 }],
      deadlineAt: null,
    };
    const took = timed(() => decide(state, { type: "arrived", facts }, now));
    const outcome = { end: "complete", promptTokens: null, cachedTokens: null, completionTokens: null } as const;
    decide(
      state,
      { type: "finished", requestId: facts.id, outcome: { ...outcome, promptMs: null, completionMs: null } },
      now,
    );
    return took;
  });
  const sorted = routes.toSorted((a, b) => a - b);
  const tenth = Math.ceil(workers / 10);
  return {
    routeP50Us: quantile(sorted, 0.5),
    routeP99Us: quantile(sorted, 0.99),
    firstRegistrationsUs: mean(registrations.slice(0, tenth)),
    lastRegistrationsUs: mean(registrations.slice(-tenth)),
  };
}

function timed(act: () => void): number {
  const before = performance.now();
  act();
  return (performance.now() - before) * 1000;
}

const mean = (numbers: readonly number[]): number => numbers.reduce((sum, one) => sum + one, 0) / numbers.length;
