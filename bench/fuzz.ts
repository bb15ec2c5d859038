/** Random requests, made from the daemon's own `/openapi.json`, to every route of a daemon with fake engines. */
import { parseArgs } from "node:util";
import { fuzzedDaemon } from "../test/support/fuzzed-daemon.ts";

const { values } = parseArgs({
  options: { requests: { type: "string", default: "10000" }, seed: { type: "string", default: "1" } },
});
const startedAt = performance.now();
const { requests, statuses, reached, problems, grpc } = await fuzzedDaemon(
  Number(values.requests),
  Number(values.seed),
);
const seconds = ((performance.now() - startedAt) / 1000).toFixed(0);
const counts = [...statuses].sort(([a], [b]) => a - b).map(([status, count]) => `${status}: ${count}`);
console.log(`${requests} requests to ${reached.size} routes in ${seconds} s. By status: ${counts.join(", ")}.`);
console.log(`${grpc.requests} calls of ${grpc.reached.size} gRPC methods.`);
for (const problem of problems) console.log(problem);
console.log(`${problems.length} problems.`);
process.exitCode = problems.length === 0 ? 0 : 1;
