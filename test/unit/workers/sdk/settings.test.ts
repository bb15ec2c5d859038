import { expect, test } from "vitest";
import { listenHost, publicEndpoint, workerSettings } from "../../../../src/workers/sdk/settings.ts";

test("without variables the defaults of the framework hold", () => {
  expect(workerSettings({})).toEqual({
    agentEndpoint: "http://localhost:9000/v1.0/",
    llmName: "Unnamed_LLM",
    publicAddress: "localhost",
    port: 0,
    endpoint: "/v1/completion",
    ignoreAgent: false,
    retryCount: 5,
    layoutConfig: null,
    loggingConfig: null,
    debug: false,
    slots: 1,
    heartbeatS: 30,
    drainTimeoutS: 30,
    apiKey: null,
  });
});

test.each([
  ["False", false],
  ["0", false],
  ["no", false],
  ["", false],
  ["True", true],
  ["1", true],
  ["on", true],
])("IGNORE_AGENT=%s is %s", (written, expected) => {
  expect(workerSettings({ IGNORE_AGENT: written }).ignoreAgent).toBe(expected);
});

test.each([
  [{ IGNORE_AGENT: "perhaps" }, "IGNORE_AGENT"],
  [{ PORT: "70000" }, "PORT"],
  [{ RETRY_COUNT: "-1" }, "RETRY_COUNT"],
  [{ AGENT_ENDPOINT: "localhost" }, "AGENT_ENDPOINT"],
  [{ ENDPOINT: "v1" }, "ENDPOINT"],
])("%j is refused by name", (env, name) => {
  expect(() => workerSettings(env)).toThrow(`The environment variable ${name} must be`);
});

test("a worker that only this machine is told of listens on loopback alone", () => {
  expect(listenHost(workerSettings({}))).toBe("127.0.0.1");
  expect(listenHost(workerSettings({ PUBLIC_ADDRESS: "10.0.0.7" }))).toBe("0.0.0.0");
  expect(publicEndpoint(workerSettings({ PUBLIC_ADDRESS: "fd00::1" }), 9001)).toBe(
    "http://[fd00::1]:9001/v1/completion",
  );
});
