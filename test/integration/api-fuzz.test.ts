import { status } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { fuzzedDaemon } from "../support/fuzzed-daemon.ts";

/** Another one finds other mistakes: `npm run bench -- fuzz --seed N`, which also sends more. */
const SEED = 20_261_129;
const REQUESTS = 400;

test(`${REQUESTS} requests made from /openapi.json are each answered as it says`, { timeout: 120_000 }, async () => {
  const { problems, reached, statuses, grpc } = await fuzzedDaemon(REQUESTS, SEED);
  expect(problems).toEqual([]);
  expect(reached.size).toBeGreaterThan(60);
  // Requests that nothing accepts, or that nothing refuses, would test nothing.
  expect(statuses.get(200)).toBeGreaterThan(REQUESTS / 10);
  expect(statuses.get(400)).toBeGreaterThan(REQUESTS / 10);
  expect(reached).toContain("POST /v1/files");
  expect(reached).toContain("POST /v1/audio/transcriptions");
  expect(grpc.reached.size).toBe(15);
  for (const code of [status.OK, status.INVALID_ARGUMENT]) expect(grpc.statuses.get(code)).toBeGreaterThan(5);
});
