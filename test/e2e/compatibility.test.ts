import { afterAll, beforeAll, expect, test } from "vitest";
import { clients } from "../../bench/compatibility/clients.ts";
import { scenarios, type Target, tryOut } from "../../bench/compatibility/scenarios.ts";
import { startTargets } from "../../bench/compatibility/targets.ts";

let started: Awaited<ReturnType<typeof startTargets>>;
let cloud: Target;
beforeAll(async () => {
  started = await startTargets();
  cloud = started.targets.find(({ name }) => name === "cloud") as Target;
});
afterAll(async () => await started?.[Symbol.asyncDispose]());

// The engines are in docs/compatibility.md; what a client and its door make of an answer is the same for all targets.
test.each(clients.flatMap((client) => scenarios.map((scenario) => ({ client, scenario, name: client.name }))))(
  "$name, as it is, does $scenario with a provider",
  async ({ client, scenario }) => {
    const expected =
      scenario === "error" ? ["404"] : scenario === "retry" && !client.retries ? ["yes", "429"] : ["yes"];
    const isMissing = scenario === "schema" && !client.hasSchema;
    expect(isMissing ? ["–"] : expected).toContain(await tryOut(scenario, client, cloud));
  },
);
