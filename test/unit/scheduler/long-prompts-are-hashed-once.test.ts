import { beforeEach, expect, test, vi } from "vitest";

/** How long a long prompt holds up the daemon is measured by the bench; here, that nothing of it is looked at twice. */
const hashed = vi.hoisted(() => ({ bytes: 0, calls: 0 }));
vi.mock("node:crypto", async (load) => {
  const crypto = await load<typeof import("node:crypto")>();
  return {
    ...crypto,
    hash: (...[algorithm, data, encoding]: Parameters<typeof crypto.hash>) => {
      hashed.bytes += Buffer.byteLength(data as string);
      hashed.calls += 1;
      return crypto.hash(algorithm, data, encoding);
    },
    createHash: (algorithm: string) => {
      const made = crypto.createHash(algorithm);
      const update = made.update.bind(made);
      made.update = (data: string) => {
        hashed.bytes += Buffer.byteLength(data);
        return update(data);
      };
      return made;
    },
  };
});
// Other files of this process may have loaded it with the real one.
vi.resetModules();
const { promptFacts } = await import("../../../src/scheduler/prefix/fingerprint.ts");

const text = "The quick brown fox jumps over the lazy dog. ".repeat(10_000);
const overhead = 1.02;
beforeEach(() => {
  hashed.bytes = 0;
  hashed.calls = 0;
});

test("a completion prompt of 100,000 tokens is hashed once, in few pieces", () => {
  const { promptTokens } = promptFacts({ text }, "t");
  expect(promptTokens).toBeGreaterThan(100_000);
  expect(hashed.bytes).toBeGreaterThanOrEqual(text.length);
  expect(hashed.bytes).toBeLessThan(text.length * overhead);
  expect(hashed.calls).toBeLessThanOrEqual(20);
});

test("so is a conversation of 100,000 tokens, whatever the number of its messages", () => {
  for (const count of [1, 100, 500]) {
    hashed.bytes = 0;
    const size = Math.floor(text.length / count);
    const messages = Array.from({ length: count }, (_, index) => ({
      role: index % 2 === 0 ? "user" : "assistant",
      content: text.slice(0, size),
    }));
    promptFacts({ messages }, "t");
    expect(hashed.bytes).toBeGreaterThanOrEqual(size * count);
    // Besides the text, of each message its role and the hash before it.
    expect(hashed.bytes).toBeLessThan(size * count * overhead + count * 64);
  }
});
