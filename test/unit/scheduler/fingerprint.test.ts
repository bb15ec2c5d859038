import fc from "fast-check";
import { expect, test, vi } from "vitest";
import type { Prompt } from "../../../src/core/inference.ts";
import { estimateTokens, fingerprintPrefix, promptFacts } from "../../../src/scheduler/prefix/fingerprint.ts";

const message = (role: string, content: string) => ({ role, content });
const hashes = (prompt: Prompt, scope = "t"): string[] => fingerprintPrefix(prompt, scope).map((mark) => mark.hash);
const chat = (messages: unknown[], scope = "t"): string[] => hashes({ messages }, scope);

test("the whole prompt of a turn is a prefix of the next turn, however long the conversation", () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ role: fc.constantFrom("user", "assistant"), content: fc.string() }), {
        minLength: 1,
        maxLength: 60,
      }),
      fc.string(),
      fc.string(),
      (messages, answer, question) => {
        const before = chat(messages);
        const after = chat([...messages, message("assistant", answer), message("user", question)]);
        expect(after).toContain(before.at(-1));
        expect(after.length).toBeLessThanOrEqual(16);
      },
    ),
  );
});

test("a difference anywhere changes every later mark and no earlier one", () => {
  const messages = ["one", "two", "three", "four"].map((content) => message("user", content));
  const changed = messages.with(2, message("user", "other"));
  const [a, b] = [chat(messages), chat(changed)];
  expect(a.slice(0, 2)).toEqual(b.slice(0, 2));
  expect(a[2]).not.toBe(b[2]);
  expect(a[3]).not.toBe(b[3]);
});

test("role, tools, tool calls and parts of content are part of the prefix", () => {
  const base = hashes({ messages: [message("user", "hi")] });
  expect(chat([message("system", "hi")])).not.toEqual(base);
  expect(chat([{ ...message("user", "hi"), name: "bob" }])).not.toEqual(base);
  expect(chat([{ role: "user", content: [{ type: "text", text: "hi" }] }])).not.toEqual(base);
  expect(
    hashes({ messages: [message("user", "hi")], tools: [{ type: "function", function: { name: "f" } }] }),
  ).not.toEqual(base);
});

test("an image is told from another one, and costs no reading of its data", () => {
  const image = (data: string) => [
    {
      role: "user",
      content: [
        { type: "text", text: "What is it?" },
        { type: "image_url", image_url: { url: data } },
      ],
    },
  ];
  const data = `data:image/png;base64,${"Ab3+".repeat(250_000)}`;
  const changed = (at: number): string => `${data.slice(0, at)}-${data.slice(at + 1)}`;
  expect(chat(image(data))).toEqual(chat(image(`${data}`)));
  for (const other of [`${data}A`, changed(100), changed(data.length / 2), changed(data.length - 1), "data:,x"])
    expect(chat(image(other))).not.toEqual(chat(image(data)));
  const written = vi.spyOn(JSON, "stringify");
  chat(image(data));
  const longest = Math.max(...written.mock.results.map(({ value }) => String(value).length));
  expect(longest).toBeLessThan(100_000);
  written.mockRestore();
});

test("texts cannot be divided another way and be taken for equal", () => {
  expect(chat([message("user", "ab"), message("user", "c")]).at(-1)).not.toBe(
    chat([message("user", "a"), message("user", "bc")]).at(-1),
  );
  expect(chat([message("c", "d")], "ab")).not.toEqual(chat([message("bc", "d")], "a"));
});

test("tenants share no prefix, unless they are given the same name for it", () => {
  const messages = [message("system", "the same for all"), message("user", "hi")];
  expect(chat(messages, "alice")).not.toEqual(chat(messages, "bob"));
  for (const hash of chat(messages, "alice")) expect(chat(messages, "bob")).not.toContain(hash);
  expect(chat(messages, "")).toEqual(chat(messages, ""));
});

test("a longer completion prompt keeps the marks of a shorter one at its blocks", () => {
  const text = "All happy families are alike. ".repeat(500);
  const short = hashes({ text: text.slice(0, 9000) });
  const long = hashes({ text: text });
  expect(long.slice(0, short.length - 1)).toEqual(short.slice(0, -1));
  expect(hashes({ text: [text] })).toEqual(long);
});

test("marks grow in tokens, and 400 KB make a bounded number of them", () => {
  const marks = fingerprintPrefix({ text: "x".repeat(400_000) }, "t");
  expect(marks.length).toBeLessThanOrEqual(20);
  expect(marks.at(-1)?.tokens).toBeGreaterThanOrEqual(100_000);
  expect(marks.map((mark) => mark.tokens)).toEqual(marks.map((mark) => mark.tokens).toSorted((a, b) => a - b));
});

test("tokens are UTF-8 bytes ÷ 4, so that other scripts are not underestimated", () => {
  expect(estimateTokens("abcd")).toBe(1);
  expect(estimateTokens("你好世界")).toBe(3);
});

test("what is no prompt has no marks, and nothing a client sends throws", () => {
  for (const prompt of [undefined, null, "", 5, {}, [], ["a", "b"], [1, 2, 3]])
    expect(hashes({ text: prompt })).toEqual([]);
  for (const messages of [[null], [5], [{}], [{ role: 1, content: [null, { text: 3 }] }], [undefined]])
    expect(chat(messages)).toHaveLength(1);
});

test("the length of a prompt is estimated whatever its form", () => {
  const tokens = (prompt: Prompt): number => promptFacts(prompt, "t").promptTokens;
  expect(tokens({ text: "x".repeat(400) })).toBe(100);
  expect(tokens({ text: ["x".repeat(400), "y".repeat(40)] })).toBe(110);
  expect(tokens({ text: [["x".repeat(400)], "y".repeat(40)] })).toBe(110);
  expect(tokens({ text: [1, 2, 3] })).toBe(3);
  expect(tokens({ messages: [message("user", "x".repeat(400))] })).toBeGreaterThanOrEqual(100);
  expect(tokens({})).toBe(0);
  expect(promptFacts({ text: "hello" }, "t").prefix).toEqual(fingerprintPrefix({ text: "hello" }, "t"));
});

test("a long conversation shares the marks of its beginning with its next turn", () => {
  const messages = Array.from({ length: 300 }, (_, index) => ({ role: "user", content: `message ${index}` }));
  const before = fingerprintPrefix({ messages }, "t").map(({ hash }) => hash);
  const after = fingerprintPrefix({ messages: [...messages, { role: "user", content: "more" }] }, "t");
  expect(after.filter(({ hash }) => before.includes(hash))).toHaveLength(15);
  const edited = messages.with(100, { role: "user", content: "edited" });
  const others = fingerprintPrefix({ messages: edited }, "t");
  expect(others.filter(({ hash }) => before.includes(hash))).toHaveLength(4);
});
