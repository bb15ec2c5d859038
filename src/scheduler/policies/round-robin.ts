import type { RoutingPolicy } from "../records.ts";
import { firstFree } from "./policy.ts";

/** The instance that has gone longest without a new request. */
export const roundRobin: RoutingPolicy = {
  name: "round-robin",
  shortestFirst: false,
  rank: (instance) => instance.lastDispatch,
  route: firstFree,
};
