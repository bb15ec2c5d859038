import type { RemoteCandidate } from "../../../src/core/remote.ts";
import type { Effect } from "../../../src/scheduler/events.ts";
import { model, type World } from "./support.ts";

export interface NodeOptions {
  readonly weight?: number;
  readonly up?: boolean;
  readonly slots?: number;
  readonly inFlight?: number;
  readonly loaded?: boolean;
}

export const node = (
  name: string,
  { weight = 1, up = true, slots = 4, inFlight = 0, loaded = true }: NodeOptions = {},
  models = ["a"],
): RemoteCandidate => ({
  name,
  nodeId: `id-${name}`,
  weight,
  up,
  models: new Map(models.map((each) => [each, { slots, inFlight, loaded }])),
});

export const tell = (
  world: World,
  candidates: readonly RemoteCandidate[],
  remoteOnly: readonly string[] = [],
): void => {
  const models = remoteOnly.map((name) =>
    model(name, { nodes: candidates.map((candidate) => candidate.name), replicas: 0, file: "" }),
  );
  world.post({ type: "remotes", change: { nodeId: "self", candidates, models } });
};

/** Requests that went to other nodes, in order. */
export const forwards = (world: World): Extract<Effect, { type: "dispatch" }>[] =>
  world.all("dispatch").filter(({ targetId }) => targetId.startsWith("remote:"));

/** The node each request was forwarded to, by request. */
export const forwarded = (world: World): Record<string, string> =>
  Object.fromEntries(forwards(world).map(({ requestId, targetId }) => [requestId, targetId.slice("remote:".length)]));
