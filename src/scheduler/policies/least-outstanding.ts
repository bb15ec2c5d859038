import type { RoutingPolicy } from "../records.ts";
import { firstFree } from "./policy.ts";

/** The instance with the fewest requests for its slots, as load balancers do that know nothing of prompts. */
export const leastOutstanding: RoutingPolicy = {
  name: "least-outstanding",
  shortestFirst: false,
  rank: (instance) => instance.inFlight.size / Math.max(1, instance.slots),
  route: firstFree,
};
