import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../support/assistant.ts";
import { ask, type FakeInstallation, fake, installFakes } from "../support/fake-installation.ts";
import { postBytes } from "../support/raw-http.ts";

let assistant: FakeInstallation;

interface Client {
  readonly socket: Socket;
  text(): string;
}

async function send(port: number, prompt: string, stream: boolean, model = "river"): Promise<Client> {
  const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
  let text = "";
  socket.on("data", (part) => (text += String(part)));
  socket.on("error", () => {});
  await new Promise((resolve) => socket.once("connect", resolve));
  socket.write(postBytes("/v1/chat/completions", { model, messages: [{ role: "user", content: prompt }], stream }));
  return { socket, text: () => text };
}

const departures = {
  "closes the connection": (socket: Socket) => socket.destroy(),
  "closes its half alone": (socket: Socket) => socket.end(),
} as const;

/** Without being noticed, the shortest of the phases would take twice as long. A busy machine needs seconds to look. */
const NOTICED_WITHIN_MS = 10_000;

const prompts = {
  prefill: `${Array.from({ length: 400 }, (_, index) => `w${index}`).join(" ")} ${fake({ prefillTokensPerSecond: 20 })}`,
  decode: `go on ${fake({ tokens: 100_000, decodeDelayMs: 5 })}`,
} as const;

const cases = [true, false].flatMap((patched) =>
  [true, false].flatMap((stream) =>
    (["prefill", "decode"] as const).flatMap((phase) =>
      (Object.keys(departures) as (keyof typeof departures)[]).map((departure) => ({
        patched,
        stream,
        phase,
        departure,
      })),
    ),
  ),
);

describe.each([true, false])("with an engine that notices departed clients: %s", (patched) => {
  let url: string;
  let port: number;
  beforeAll(async () => {
    const knobs = { noticesDisconnects: patched, noticesWhenWriting: !patched };
    assistant = await installFakes({
      models: {
        river: { knobs, slots: 2 },
        lake: { knobs, slots: 1 },
        slow: { knobs: { ...knobs, startDelayMs: 800 } },
      },
      patched,
    });
    url = await assistant.serve();
    port = Number(new URL(url).port);
  });
  afterAll(() => assistant[Symbol.asyncDispose]());

  test("a client that leaves in any phase, by any way, frees its slot while another client is served", async () => {
    await ask(url, "river", "wake up");
    const other = await send(port, `the other ${fake({ tokens: 100_000, decodeDelayMs: 20 })}`, true);
    await eventually("the other is served", () => other.text().includes("word1"));
    for (const { stream, phase, departure } of cases.filter((one) => one.patched === patched)) {
      const what = `${stream ? "streamed" : "whole"}, in ${phase}, ${departure}`;
      // A prompt of its own: what the one before had evaluated would be there already.
      const leaver = await send(port, `${what} ${prompts[phase]}`, stream);
      await eventually(`both are at work (${what})`, async () => (await assistant.record("river")).inFlight === 2);
      if (phase === "decode" && stream) await eventually("tokens come", () => leaver.text().includes("word3"));
      departures[departure](leaver.socket);
      await eventually(
        `the engine has stopped (${what})`,
        async () => (await assistant.record("river")).inFlight === 1,
        NOTICED_WITHIN_MS,
      );
      await eventually(
        `the slot is free (${what})`,
        async () => (await assistant.ready("river")).inFlight === 1,
        NOTICED_WITHIN_MS,
      );
      leaver.socket.destroy();
    }
    const seen = other.text().length;
    await eventually("the other goes on", () => other.text().length > seen);
    other.socket.destroy();
  });

  test("a client that leaves the queue is dispatched to nobody", async () => {
    await ask(url, "lake", "wake up");
    const holder = await send(port, prompts.decode, true, "lake");
    await eventually("the slot is taken", () => holder.text().includes("word1"));
    const { requests } = await assistant.record("lake");
    const waiting = await Promise.all(
      Array.from({ length: 10 }, (_, index) => send(port, "waiting", index % 2 === 0, "lake")),
    );
    await eventually("they wait", async () => (await assistant.state()).queued === 10);
    for (const [index, { socket }] of waiting.entries()) {
      if (index < 5) socket.destroy();
      else socket.end();
    }
    await eventually("nobody waits", async () => (await assistant.state()).queued === 0);
    holder.socket.destroy();
    await eventually("the slot is free", async () => (await assistant.ready("lake")).inFlight === 0);
    expect((await assistant.record("lake")).requests).toBe(requests);
  });

  test("a client that leaves while its model loads causes no dispatch, and the model is there for the next", async () => {
    const leaver = await send(port, "hello", false, "slow");
    await eventually("it waits", async () => (await assistant.state()).queued === 1);
    leaver.socket.destroy();
    await eventually("nobody waits", async () => (await assistant.state()).queued === 0);
    await ask(url, "slow", "hello");
    // The engine's own question at its start, and one request.
    expect((await assistant.record("slow")).requests).toBe(2);
    expect(await assistant.launches("slow")).toBe(1);
  });
});
