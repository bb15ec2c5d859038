import type { RoutingPolicyName } from "../../core/config.ts";
import { boundedHash } from "./bounded-hash.ts";
import { expectedTime } from "./expected-time.ts";
import { firstFree, type RoutingPolicy } from "./policy.ts";

/** The instance with the fewest requests for its slots, like load balancers that know nothing about prompts. */
const leastOutstanding: RoutingPolicy = {
  shortestFirst: false,
  rank: (instance) => instance.inFlight.size / Math.max(1, instance.slots),
  route: firstFree,
};

/** The instance that has gone longest without a new request. */
const roundRobin: RoutingPolicy = {
  shortestFirst: false,
  rank: (instance) => instance.lastDispatch,
  route: firstFree,
};

export const policies: Readonly<Record<RoutingPolicyName, RoutingPolicy>> = {
  "expected-time": expectedTime,
  "least-outstanding": leastOutstanding,
  "bounded-hash": boundedHash,
  "round-robin": roundRobin,
};
