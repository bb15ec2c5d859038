import type { Socket } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { chatModelFile } from "../support/model-files.ts";
import { bothEngines, EngineProcess, longPrompt, until } from "./engine-process.ts";

/** Generous, for crowded machines; an engine that does not look for its client goes on for 10 s and more. */
const SOON_MS = 8000;

const ways: readonly (readonly [name: string, leave: (socket: Socket) => void])[] = [
  ["gone", (socket) => socket.destroy()],
  ["half-closed", (socket) => socket.end()],
];

describe.each(bothEngines)("clients of %s that leave", (id) => {
  let engine: EngineProcess;
  let busy: Socket;
  const times = new Map<string, number[]>();

  beforeAll(async () => {
    engine = await EngineProcess.start(id, await chatModelFile(), { load: { contextTokens: 4096 } });
    // Another client streams all the time: an engine that waits for silence would never look.
    const keepBusy = (): void => {
      busy = engine.raw("/v1/completions", {
        prompt: "Once upon a time",
        max_tokens: 4000,
        stream: true,
        ignore_eos: true,
      });
      busy.once("close", () => !closing && keepBusy());
      busy.once("end", () => busy.destroy());
    };
    let closing = false;
    keepBusy();
    stop = () => {
      closing = true;
      busy.destroy();
    };
    await until(async () => (await engine.busySlots()) === 1, 30_000);
  });
  let stop = (): void => undefined;
  afterEach(async () => {
    await until(async () => (await engine.busySlots()) === 1, 30_000);
  });
  afterAll(async () => {
    stop();
    for (const [phase, list] of times)
      console.log(`${id}, ${phase}: slot free after ${list.map((ms) => Math.round(ms)).join(", ")} ms`);
    await engine[Symbol.asyncDispose]();
  });

  async function timeUntilFree(phase: string, leave: () => void): Promise<void> {
    leave();
    const took = await until(async () => (await engine.busySlots()) === 1, SOON_MS);
    times.set(phase, [...(times.get(phase) ?? []), took]);
  }

  const second = async () =>
    (await engine.slots()).filter((slot) => slot.busy).sort((a, b) => a.tokensDecoded - b.tokensDecoded);

  for (const [way, leave] of ways) {
    for (const stream of [true, false]) {
      test(`${way} in decode, ${stream ? "streamed" : "not streamed"}: the slot is free at once`, async () => {
        for (let round = 0; round < 3; round++) {
          const socket = engine.raw("/v1/completions", {
            prompt: `Tale ${round}:`,
            max_tokens: 3000,
            stream,
            ignore_eos: true,
            cache_prompt: false,
          });
          await until(
            async () => (await second()).length === 2 && ((await second())[0]?.tokensDecoded ?? 0) >= 3,
            30_000,
          );
          await timeUntilFree(`decode, ${way}, ${stream ? "streamed" : "not streamed"}`, () => leave(socket));
          socket.destroy();
        }
      });

      test(`${way} in prefill, ${stream ? "streamed" : "not streamed"}: the slot is free after one batch`, async () => {
        const socket = engine.raw("/v1/completions", {
          prompt: longPrompt(3500),
          max_tokens: 10,
          stream,
          cache_prompt: false,
        });
        await until(
          async () => (await second()).some((slot) => slot.tokensDecoded === 0 && slot.promptTokensDone > 64),
          30_000,
        );
        await timeUntilFree(`prefill, ${way}, ${stream ? "streamed" : "not streamed"}`, () => leave(socket));
        socket.destroy();
      });
    }
  }

  test("gone while they wait for a slot: nothing is done for them", async () => {
    const holder = engine.raw("/v1/completions", { prompt: "Hold:", max_tokens: 3000, stream: true, ignore_eos: true });
    await until(async () => (await engine.busySlots()) === 2, 30_000);
    const waiting = engine.raw("/v1/completions", {
      prompt: longPrompt(3000),
      max_tokens: 3000,
      stream: true,
      ignore_eos: true,
    });
    await new Promise((resolve) => waiting.once("connect", resolve));
    waiting.destroy();
    holder.destroy();
    await until(async () => (await engine.busySlots()) === 1, SOON_MS);
    const answer = await engine.post("/v1/completions", { prompt: "One, two,", max_tokens: 2, temperature: 0 });
    expect(answer.status).toBe(200);
  });
});
