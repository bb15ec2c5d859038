import type { Socket } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { SlotProgress } from "../../src/core/probe.ts";
import { quickChatModelFile } from "../support/model-files.ts";
import { bothEngines, EngineProcess, longPrompt, until } from "./engine-process.ts";

const PATIENCE_MS = 60_000;
/** Tokens of the requests that are left, prompt or answer. */
const WORK = 3000;
/** An engine that does not look for its client does all of it; how long that takes is up to the machine. */
const DONE_AT_MOST = 0.75 * WORK;
/** Prompts that are no part of the work are shorter. */
const SHORT_PROMPT = 64;

const ways: readonly (readonly [name: string, leave: (socket: Socket) => void])[] = [
  ["gone", (socket) => socket.destroy()],
  ["half-closed", (socket) => socket.end()],
];

describe.each(bothEngines)("clients of %s that leave", (id) => {
  let engine: EngineProcess;
  let busy: Socket;
  const times = new Map<string, number[]>();

  beforeAll(async () => {
    engine = await EngineProcess.start(id, await quickChatModelFile(), {
      // A small batch: the slot of a client that leaves is free after one.
      load: { contextTokens: 4096, batchTokens: 32, microBatchTokens: 32 },
    });
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
    await until(async () => (await engine.busySlots()) === 1, PATIENCE_MS);
  });
  let stop = (): void => undefined;
  afterEach(async () => {
    await until(async () => (await engine.busySlots()) === 1, PATIENCE_MS);
  });
  afterAll(async () => {
    stop();
    for (const [phase, list] of times)
      console.log(`${id}, ${phase}: slot free after ${list.map((ms) => Math.round(ms)).join(", ")} ms`);
    await engine[Symbol.asyncDispose]();
  });

  /** The slot of the request that began last. */
  const second = async (): Promise<SlotProgress | undefined> => {
    const busySlots = (await engine.slots()).filter((slot) => slot.busy);
    const began = (a: SlotProgress, b: SlotProgress): number =>
      (b.task ?? 0) - (a.task ?? 0) || a.tokensDecoded - b.tokensDecoded;
    return busySlots.length < 2 ? undefined : busySlots.sort(began)[0];
  };

  /** The request is left as soon as enough of it is done, and its slot has to be free before most of it is. */
  async function leaveAndWait(phase: string, isFarEnough: (slot: SlotProgress) => boolean, leave: () => void) {
    let left: SlotProgress | undefined;
    await until(async () => {
      const slot = await second();
      if (slot !== undefined && isFarEnough(slot)) left = slot;
      return left !== undefined;
    }, PATIENCE_MS);
    leave();
    let done = 0;
    const took = await until(async () => {
      const busySlots = (await engine.slots()).filter((slot) => slot.busy);
      const slot = busySlots.find(({ id, task }) => id === left?.id && task === left?.task);
      done = Math.max(done, slot?.promptTokensDone ?? 0, slot?.tokensDecoded ?? 0);
      return busySlots.length === 1;
    }, PATIENCE_MS);
    expect(done).toBeLessThan(DONE_AT_MOST);
    times.set(phase, [...(times.get(phase) ?? []), took]);
  }

  for (const [way, leave] of ways) {
    for (const stream of [true, false]) {
      test(`${way} in decode, ${stream ? "streamed" : "not streamed"}: the slot is free at once`, async () => {
        for (let round = 0; round < 3; round++) {
          const socket = engine.raw("/v1/completions", {
            prompt: `Tale ${round}:`,
            max_tokens: WORK,
            stream,
            ignore_eos: true,
            cache_prompt: false,
          });
          await leaveAndWait(
            `decode, ${way}, ${stream ? "streamed" : "not streamed"}`,
            ({ tokensDecoded }) => tokensDecoded >= 3,
            () => leave(socket),
          );
          socket.destroy();
        }
      });

      test(`${way} in prefill, ${stream ? "streamed" : "not streamed"}: the slot is free after one batch`, async () => {
        const socket = engine.raw("/v1/completions", {
          prompt: longPrompt(WORK),
          max_tokens: 10,
          stream,
          cache_prompt: false,
        });
        await leaveAndWait(
          `prefill, ${way}, ${stream ? "streamed" : "not streamed"}`,
          ({ tokensDecoded, promptTokensDone }) => tokensDecoded === 0 && promptTokensDone > SHORT_PROMPT,
          () => leave(socket),
        );
        socket.destroy();
      });
    }
  }

  test("gone while they wait for a slot: nothing is done for them", async () => {
    const holder = engine.raw("/v1/completions", { prompt: "Hold:", max_tokens: WORK, stream: true, ignore_eos: true });
    await until(async () => (await engine.busySlots()) === 2, PATIENCE_MS);
    const waiting = engine.raw("/v1/completions", {
      prompt: longPrompt(WORK),
      max_tokens: 10,
      stream: true,
      ignore_eos: true,
    });
    await new Promise((resolve) => waiting.once("connect", resolve));
    waiting.destroy();
    holder.destroy();
    let isBegun = false;
    await until(async () => {
      const busySlots = (await engine.slots()).filter((slot) => slot.busy);
      isBegun ||= busySlots.some(({ promptTokensDone }) => promptTokensDone > SHORT_PROMPT);
      return busySlots.length === 1;
    }, PATIENCE_MS);
    expect(isBegun).toBe(false);
    const answer = await engine.post("/v1/completions", { prompt: "One, two,", max_tokens: 2, temperature: 0 });
    expect(answer.status).toBe(200);
  });
});
