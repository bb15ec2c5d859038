import { afterAll, beforeAll, expect, test } from "vitest";
import { clients } from "../../bench/compatibility/clients.ts";
import { type PythonClient, pythonSdks } from "../../bench/compatibility/python.ts";
import { scenarios, type Target, tryOut } from "../../bench/compatibility/scenarios.ts";
import { startTargets } from "../../bench/compatibility/targets.ts";

// Known before the packages are, for the names of the tests.
const ofPython = ["openai (Python)", "anthropic (Python)", "ollama (Python)"];

let started: Awaited<ReturnType<typeof startTargets>>;
let cloud: Target;
let python: readonly PythonClient[] = [];
beforeAll(async () => {
  [started, python] = await Promise.all([startTargets(), pythonSdks()]);
  cloud = started.targets.find(({ name }) => name === "cloud") as Target;
});
afterAll(async () => {
  for (const client of python) client[Symbol.dispose]();
  await started?.[Symbol.asyncDispose]();
});

// The engines are in docs/compatibility.md; what a client and its door make of an answer is the same for all targets.
const names = [...clients.map(({ name }) => name), ...ofPython];
test.each(names.flatMap((name) => scenarios.map((scenario) => ({ scenario, name }))))(
  "$name, as it is, does $scenario with a provider",
  async ({ name, scenario }) => {
    const client = [...clients, ...python].find((one) => one.name === name);
    if (client === undefined) throw new Error(`there is no client ${name}`);
    const expected =
      scenario === "error" ? ["404"] : scenario === "retry" && !client.retries ? ["yes", "429"] : ["yes"];
    const isMissing = scenario === "schema" && !client.hasSchema;
    expect(isMissing ? ["–"] : expected).toContain(await tryOut(scenario, client, cloud));
  },
);
