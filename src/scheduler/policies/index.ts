import type { RoutingPolicyName } from "../../core/config.ts";
import type { RoutingPolicy } from "../records.ts";
import { boundedHash } from "./bounded-hash.ts";
import { expectedTime } from "./expected-time.ts";
import { leastOutstanding } from "./least-outstanding.ts";
import { roundRobin } from "./round-robin.ts";

export const policies: Readonly<Record<RoutingPolicyName, RoutingPolicy>> = {
  "expected-time": expectedTime,
  "least-outstanding": leastOutstanding,
  "bounded-hash": boundedHash,
  "round-robin": roundRobin,
};
