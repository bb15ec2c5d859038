import { expect, test } from "vitest";
import { ChatSession } from "../../../../../commands/support/run/session.ts";
import { joinPrompt } from "../../../../../commands/support/run/stdin.ts";

const settings = { model: "m", system: null, temperature: null, seed: null, maxTokens: null, conversation: null };

test("a request carries the system message, what was said and the question", () => {
  const session = new ChatSession({ ...settings, system: "Be brief." });
  session.remember("one", "1");
  expect(session.request("two").messages).toEqual([
    { role: "system", content: "Be brief." },
    { role: "user", content: "one" },
    { role: "assistant", content: "1" },
    { role: "user", content: "two" },
  ]);
});

test("a stopped answer is remembered as far as it came, an empty one not at all", () => {
  const session = new ChatSession(settings);
  session.remember("one", "half an ans");
  session.remember("two", " \n");
  expect(session.length).toBe(2);
});

test("clear forgets the chat and keeps the settings", () => {
  const session = new ChatSession(settings);
  session.setParameter("temperature", 0);
  session.setSystem("s");
  session.remember("a", "b");
  session.clear();
  expect(session.request("c")).toEqual({
    model: "m",
    temperature: 0,
    seed: null,
    maxTokens: null,
    conversation: null,
    messages: [
      { role: "system", content: "s" },
      { role: "user", content: "c" },
    ],
  });
});

test("the prompt is the words, then standard input", () => {
  expect(joinPrompt(["two", "words"], "from a file\n")).toBe("two words\n\nfrom a file");
  expect(joinPrompt([], "piped")).toBe("piped");
  expect(joinPrompt(["word"], null)).toBe("word");
  expect(joinPrompt([], "  \n")).toBeNull();
});

test("a chat that the daemon keeps sends what is new", () => {
  const session = new ChatSession({ ...settings, conversation: "conv_0123456789ab" });
  session.remember("one", "1");
  expect(session.request("two")).toMatchObject({
    conversation: "conv_0123456789ab",
    messages: [{ role: "user", content: "two" }],
  });
});
