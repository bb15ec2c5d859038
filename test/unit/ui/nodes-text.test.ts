import { expect, test } from "vitest";
import type { NodeStatus } from "../../../src/api/nodes.ts";
import { nodesText } from "../../../src/ui/nodes-text.ts";
import { statusText } from "../../../src/ui/status-text.ts";
import { headline } from "../../../src/ui/summary.ts";
import { fakeInstance, fakeStatus, NOW } from "../../fakes/status.ts";

const node = (fields: Partial<NodeStatus> = {}): NodeStatus => ({
  name: "b",
  address: "10.0.0.7:50051",
  state: "up",
  version: "0.1.0",
  models: ["river"],
  weight: 1,
  inFlight: 0,
  requestsServed: 3,
  latencyMs: 2.04,
  firstByteMs: 812.4,
  lastError: null,
  seenAt: NOW,
  ...fields,
});
const away = "The remote server cannot be reached: connect ECONNREFUSED";

test("every server has a line with state, load, times and models, and what is not known is a dash", () => {
  const [titles, up, fresh] = nodesText(
    [
      node({ inFlight: 2 }),
      node({ name: "c", state: "connecting", version: null, models: [], latencyMs: null, firstByteMs: null }),
    ],
    NOW,
  );
  expect(titles).toMatch(/^NAME +ADDRESS +STATE +VERSION +WEIGHT +IN FLIGHT +SERVED +ROUND TRIP +FIRST BYTE +MODELS/);
  expect(up).toMatch(/^b +10\.0\.0\.7:50051 +up +0\.1\.0 +1 +2 +3 +2\.0 ms +812 ms +river$/);
  expect(fresh).toMatch(/^c +10\.0\.0\.7:50051 +connecting +- +1 +0 +3 +- +- +-$/);
});

test("a server that is away says since when, and one that is back does not look as if it still were", () => {
  const text = nodesText(
    [
      node({ state: "down", lastError: away, seenAt: NOW - 90_000 }),
      node({ name: "c", state: "down", lastError: away, seenAt: null }),
      node({ name: "d", lastError: away }),
      node({ name: "e", state: "disabled", lastError: away }),
    ],
    NOW,
  );
  expect(text.slice(5)).toEqual([
    `b: ${away} (last seen 1m 30s ago)`,
    `c: ${away} (never seen)`,
    `d is up; its last failure: ${away}`,
  ]);
});

test("what other machines work on for us is counted apart, where there is any", () => {
  const status = fakeStatus({
    instances: [fakeInstance({ inFlight: 1 })],
    queued: 2,
    nodes: [node({ inFlight: 3 }), node({ name: "c", inFlight: 1 })],
  });
  expect(headline(status)).toEqual(expect.arrayContaining(["1 running", "4 on other machines", "2 waiting"]));
  expect(statusText(status, false).join("\n")).toContain("Requests: 1 running here, 4 on other machines, 2 waiting");
  const alone = fakeStatus({ instances: [fakeInstance({ inFlight: 1 })], nodes: [node()] });
  expect(headline(alone).join()).not.toContain("machines");
  expect(statusText(alone, false).join("\n")).not.toContain("machines");
});

test("a device says which request has it for itself", () => {
  const device = {
    id: "cpu",
    vendor: "cpu",
    name: "CPU",
    memoryTotalBytes: 2 ** 34,
    memoryFreeBytes: 2 ** 33,
    utilizationPercent: null,
    temperatureCelsius: null,
  };
  expect(statusText(fakeStatus({ devices: [{ ...device, exclusiveRequest: "req_7" }] }), false).join("\n")).toContain(
    "8.6 GB of 17.2 GB, held by req_7",
  );
});
