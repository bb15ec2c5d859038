import { afterEach, expect, test } from "vitest";
import type { Knobs } from "../fakes/engine/knobs.ts";
import { ask, type FakeInstallation, fake, installFakes } from "../support/fake-installation.ts";

let assistant: FakeInstallation;
afterEach(() => assistant[Symbol.asyncDispose]());

/** What a client is told of each fault: status and code of an answer in one piece, and what a stream ends with. */
const faults: readonly (readonly [string, Partial<Knobs>, readonly [number, string], RegExp])[] = [
  ["too many requests, in the engine's own opinion", { failStatus: 429 }, [429, "queue_full"], /"code":"queue_full"/],
  ["a server error", { failStatus: 500 }, [502, "engine_error"], /"code":"engine_error"/],
  ["an engine that says it is not ready", { failStatus: 503 }, [502, "engine_error"], /"code":"engine_error"/],
  ["a refusal of the request", { failStatus: 400 }, [400, "invalid_request"], /"code":"invalid_request"/],
  // An event that is no JSON is the engine's own, and is relayed as it came.
  [
    "malformed JSON",
    { malformedJson: true },
    [502, "engine_error"],
    /data: \{"choices":\[\{"delta":\n\n[\s\S]*data: \[DONE\]\n\n$/,
  ],
  [
    "a connection that breaks in the middle",
    { resetAfterTokens: 2 },
    [502, "engine_lost"],
    /"code":"engine_lost"[^\n]*\n\n$/,
  ],
];

test("each fault of an engine has its own answer, costs that request alone, and leaves slot and process as they were", async () => {
  assistant = await installFakes({ models: { river: { slots: 1 } } });
  const url = await assistant.serve();
  await ask(url, "river", "wake up");
  const { pid } = await assistant.ready("river");
  for (const [what, knobs, [status, code], ends] of faults) {
    const whole = await ask(url, "river", `x ${fake(knobs)}`);
    expect([whole.status, (JSON.parse(whole.text) as { error: { code: string } }).error.code], what).toEqual([
      status,
      code,
    ]);
    const stream = await ask(url, "river", `x ${fake(knobs)}`, { stream: true });
    expect(stream.text, what).toMatch(ends);
    // The only slot is free again.
    expect((await ask(url, "river", "and now?")).status, what).toBe(200);
    expect((await assistant.ready("river")).pid, what).toBe(pid);
  }
  expect(await assistant.launches("river")).toBe(1);
});

test("half an event and then silence is found, and the client's connection breaks where the answer did", async () => {
  assistant = await installFakes({ models: { river: { slots: 1 } }, scheduler: "wedge_after_s = 0.6" });
  const url = await assistant.serve();
  await ask(url, "river", "wake up");
  await expect(ask(url, "river", `x ${fake({ stallAfterTokens: 2 })}`, { stream: true })).rejects.toThrow("terminated");
  expect((await ask(url, "river", "and now?")).status).toBe(200);
  expect((await assistant.ready("river")).lastDeath?.cause).toBe("wedged");
});
