import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { compileCache, eventually } from "../support/assistant.ts";
import { callEngine, engineRecord, fakeEngineProgram, type Knobs } from "../support/fake-engine.ts";
import { chatBody, startGateway, type TestGateway } from "../support/gateway.ts";
import { bodyOf, postBytes, rawClient } from "../support/raw-http.ts";
import { LAST_CHUNK } from "../support/scripted-upstream.ts";

let stopEngine: () => Promise<void> = async () => {};

/**
 * The gateway in front of the fake engine program: HTTP as a real server speaks it, in a process that can really die.
 */
async function start(
  knobs: Partial<Knobs>,
): Promise<{ port: number; url: string; engine: string; gateway: TestGateway }> {
  const gateway = await startGateway(() => {});
  const engine = join(gateway.directory, "fake.sock");
  const child = spawn(process.execPath, [fakeEngineProgram, "--socket", engine], {
    env: { FAKE_ENGINE: JSON.stringify(knobs), NODE_NO_WARNINGS: "1", NODE_COMPILE_CACHE: compileCache },
    stdio: "ignore",
  });
  stopEngine = async () => {
    const gone = child.exitCode === null && child.signalCode === null ? once(child, "exit") : null;
    child.kill("SIGKILL");
    await gone;
  };
  await eventually("the engine is ready", () =>
    callEngine(engine, "/health").then(
      ({ status }) => status === 200,
      () => false,
    ),
  );
  gateway.dispatcher.socketPaths = [engine];
  return { port: gateway.port, url: gateway.url, engine, gateway };
}
afterEach(async () => {
  await stopEngine();
});

const path = "/v1/chat/completions";

test("a stream through the gateway is what the engine sends itself", async () => {
  const { port, engine } = await start({ tokens: 5, tokenText: "fluß " });
  const body = chatBody({ stream: true, stream_options: { include_usage: true } });
  // What is cached differs between the first request and the next, and shows in the timings.
  await callEngine(engine, path, body);
  const client = await rawClient(port);
  client.send(postBytes(path, body));
  const strip = (text: string): string[] =>
    [...text.matchAll(/data: (.*)\n\n/g)].map(([, data]) =>
      (data ?? "").replace(/"(?:id|created|[a-z_]*ms|[a-z_]*per_second)":(?:"[^"]*"|[\d.]+),?/g, ""),
    );
  const through = strip(bodyOf(await client.until(LAST_CHUNK)));
  const direct = strip((await callEngine(engine, path, body)).text);
  expect(through.length).toBeGreaterThan(6);
  expect(through).toEqual(direct);
});

test("an engine that is killed mid-stream leaves an error and not a silence", async () => {
  const { port, gateway } = await start({ tokens: 50, dieAfterTokens: 3, decodeDelayMs: 5 });
  const client = await rawClient(port);
  client.send(postBytes(path, chatBody({ stream: true })));
  const body = bodyOf(await client.untilClosed());
  expect(body).toContain('"code":"engine_lost"');
  expect(body).not.toContain("[DONE]");
  expect(gateway.dispatcher.granted[0]?.outcome?.end).toBe("engine-error");
});

test.each([true, false])("a hanging engine is left with its client (streamed: %s)", async (stream) => {
  const { port, engine, gateway } = await start({ hangBeforeHeaders: true });
  const client = await rawClient(port);
  client.send(postBytes(path, chatBody({ stream })));
  await eventually("the engine has it", async () => (await engineRecord(engine)).requests === 1);
  client.socket.end();
  await eventually("the gateway lets go", () => client.ended());
  await eventually("the slot is back", () => gateway.dispatcher.granted[0]?.disposed === true);
});

test.each([true, false])("the engine counts a client that leaves in decode as gone (streamed: %s)", async (stream) => {
  const { port, engine } = await start({ tokens: 10_000, decodeDelayMs: 2 });
  const client = await rawClient(port);
  client.send(postBytes(path, chatBody({ stream })));
  await eventually("it decodes", async () => (await engineRecord(engine)).tokens > 3);
  client.socket.end();
  await eventually("the engine has stopped", async () => {
    const record = await engineRecord(engine);
    return record.aborted === 1 && record.inFlight === 0;
  });
});

test("an engine that fails tells its status and message", async () => {
  const { url } = await start({ failStatus: 500 });
  const answer = await fetch(url + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(chatBody()),
  });
  expect([answer.status, await answer.json()]).toEqual([
    502,
    { error: expect.objectContaining({ code: "engine_error", message: expect.stringContaining("was told to fail") }) },
  ]);
});

test("a prompt over the context is refused with its numbers", async () => {
  const { url } = await start({ contextTokens: 16 });
  const messages = [{ role: "user", content: "river ".repeat(100) }];
  const answer = await fetch(url + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(chatBody({ messages })),
  });
  expect([answer.status, await answer.json()]).toEqual([
    400,
    { error: expect.objectContaining({ code: "context_length_exceeded" }) },
  ]);
});
