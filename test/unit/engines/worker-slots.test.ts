import type { LlamaContextSequence, Token } from "node-llama-cpp";
import { describe, expect, test } from "vitest";
import { bestSlot, Slots } from "../../../src/engines/node-llama-cpp/worker/slots.ts";

const never = new AbortController().signal;
const tokens = (text: string): Token[] => [...text].map((letter) => letter.charCodeAt(0) as Token);

/** A sequence that holds one token per letter. */
function holding(text: string): LlamaContextSequence {
  const held = tokens(text);
  const compare = (given: readonly Token[]) => {
    let index = 0;
    while (index < held.length && held[index] === given[index]) index++;
    return { firstDifferentIndex: index };
  };
  return { nextTokenIndex: held.length, compareContextTokens: compare } as unknown as LlamaContextSequence;
}

describe("slots", () => {
  test("requests beyond the slots wait in order, and each slot goes to the next one", async () => {
    const slots = new Slots([null]);
    const order: number[] = [];
    const first = await slots.acquire([], never);
    const second = slots.acquire([], never).then((held) => {
      order.push(2);
      return held;
    });
    const third = slots.acquire([], never).then(() => order.push(3));
    expect(slots.waiting).toBe(2);
    first[Symbol.dispose]();
    (await second)[Symbol.dispose]();
    await third;
    expect(order).toEqual([2, 3]);
    expect(slots.active).toBe(1);
  });

  test("whoever leaves the queue takes nothing and holds nobody up", async () => {
    const slots = new Slots([null]);
    const held = await slots.acquire([], never);
    const leaving = new AbortController();
    const left = slots.acquire([], leaving.signal);
    const next = slots.acquire([], never);
    leaving.abort(new Error("left"));
    await expect(left).rejects.toThrow("left");
    held[Symbol.dispose]();
    held[Symbol.dispose]();
    (await next)[Symbol.dispose]();
    expect(slots).toMatchObject({ waiting: 0, active: 0 });
  });

  test("a request that was aborted before it came gets no slot", async () => {
    const slots = new Slots([null]);
    await expect(slots.acquire([], AbortSignal.abort(new Error("gone")))).rejects.toThrow("gone");
    expect(slots.active).toBe(0);
  });

  test("a conversation returns to the slot that holds it", () => {
    const slots = new Slots([holding("system: tea"), holding("system: coffee")]);
    expect(bestSlot(slots.all, tokens("system: coffee, and milk"))?.id).toBe(1);
  });

  test("a new conversation does not push out one that shares only its beginning", () => {
    const slots = new Slots([holding("system: a long talk about tea"), holding("")]);
    expect(bestSlot(slots.all, tokens("system: cars"))?.id).toBe(1);
  });

  test("a prompt does not go on in a slot of another scope", () => {
    const slots = new Slots([holding("system: coffee"), holding("")]);
    expect(bestSlot(slots.all, tokens("system: coffee, and milk"), "ada")?.id).toBe(1);
  });

  test("busy slots are never chosen", async () => {
    const slots = new Slots([holding("abc"), holding("xyz")]);
    const held = await slots.acquire(tokens("abcd"), never);
    expect(held.slot.id).toBe(0);
    expect(bestSlot(slots.all, tokens("abcd"))?.id).toBe(1);
  });
});
