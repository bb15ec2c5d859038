import { afterEach, expect, test, vi } from "vitest";
import { Registrar, type RegistrarOptions } from "../../../../src/workers/sdk/registrar.ts";

afterEach(() => vi.unstubAllGlobals());

/** A registrar, and the daemon that it talks to: what it was asked, each answered with 200 unless a test says more. */
function registrarWith(answers: Readonly<Record<string, Promise<Response>>>): {
  registrar: Registrar;
  asked: string[];
} {
  const asked: string[] = [];
  vi.stubGlobal("fetch", async (url: URL) => {
    const name = url.pathname.split("/").at(-1) ?? "";
    asked.push(name);
    return (await answers[name]) ?? new Response();
  });
  const settings = { llmName: "echo", agentEndpoint: "http://daemon/v1/", retryCount: 0, heartbeatS: 0.001, slots: 1 };
  const metrics = { registering: () => {}, agentState: () => {}, attempts: { inc: () => {} } };
  const log = { info: () => {}, warning: () => {}, error: () => {} };
  const options = { settings: { ...settings, apiKey: null }, endpoint: "http://worker/", metrics, log };
  return { registrar: new Registrar(options as unknown as RegistrarOptions), asked };
}

test("a worker that ends while it registers unregisters", async () => {
  const answer = Promise.withResolvers<Response>();
  const { registrar, asked } = registrarWith({ register: answer.promise });
  const registered = registrar.register();
  await registrar.unregister();
  answer.resolve(new Response());
  await registered;
  expect(asked).toEqual(["register", "unregister"]);
});

test("a worker that ends while a sign of life is under way does not register anew", async () => {
  const answer = Promise.withResolvers<Response>();
  const { registrar, asked } = registrarWith({ heartbeat: answer.promise });
  await registrar.register();
  await vi.waitFor(() => expect(asked).toContain("heartbeat"), { interval: 1 });
  const left = registrar.unregister();
  await new Promise(setImmediate);
  answer.resolve(new Response(null, { status: 404 }));
  await left;
  await new Promise(setImmediate);
  expect(asked.filter((name) => name !== "heartbeat")).toEqual(["register", "unregister"]);
});
