import { afterEach, expect, test } from "vitest";
import { adminRoutes } from "../../src/api/routes.ts";
import { eventually } from "../support/assistant.ts";
import { callEngine } from "../support/fake-engine.ts";
import { ask, type FakeInstallation, installFakes } from "../support/fake-installation.ts";

let assistant: FakeInstallation;
afterEach(() => assistant[Symbol.asyncDispose]());

test("a load that failed is not tried again by every request: they are refused with the reason and the time of the next try", async () => {
  assistant = await installFakes({
    models: { river: { knobs: [{ exitAtStart: 1, exitText: "error: no such tensor" }, {}] } },
  });
  const url = await assistant.serve();
  const refused = await Promise.all(Array.from({ length: 5 }, () => ask(url, "river", "hello")));
  refused.push(await ask(url, "river", "and now?"));
  for (const { status, text, headers } of refused) {
    expect(status).toBe(503);
    expect(text).toContain("model_failed");
    expect(text).toContain("no such tensor");
    expect(Number(headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
    expect(Number(headers.get("retry-after"))).toBeLessThanOrEqual(12);
  }
  expect(await assistant.launches("river")).toBe(1);
  const { instances } = await assistant.state();
  expect(instances[0]).toMatchObject({
    state: "failed",
    attempts: 1,
    retryAt: expect.any(Number),
    lastDeath: { message: expect.stringContaining("no such tensor") },
  });
  expect((await assistant.run(["ps"])).stdout).toMatch(/no such tensor.*next try in/);
  // An operator who has mended it need not wait.
  await callEngine(assistant.adminSocket, adminRoutes.instance(instances[0]?.id ?? ""), { action: "restart" });
  await eventually("it is up", async () => (await assistant.ready("river")).state === "ready");
  expect((await ask(url, "river", "hello")).status).toBe(200);
  expect(await assistant.launches("river")).toBe(2);
});
