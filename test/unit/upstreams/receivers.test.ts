import { expect, test } from "vitest";
import type { AnswerSink } from "../../../src/core/inference.ts";
import { receiverFor } from "../../../src/upstreams/answer/receivers.ts";

const sink = (takesFramed: boolean): AnswerSink => ({
  ...{ status: null, takesFramed, head: () => {}, chunk: () => true, framed: () => true, onDrain: () => {} },
  ...{ end: () => {}, endFramed: () => {}, fail: () => {}, abort: () => {} },
});

test.each([true, false])("progress of the prompt is no beginning of the answer (framed: %s)", (takesFramed) => {
  const receiver = receiverFor(
    { status: 200, contentType: "text/event-stream", framing: { type: "chunked" } },
    { sink: sink(takesFramed), headers: [], model: "river", operation: "chat" },
  );
  const send = (event: object): void => {
    const text = `data: ${JSON.stringify(event)}\n\n`;
    receiver.body(Buffer.from(`${text.length.toString(16)}\r\n${text}\r\n`));
  };
  send({ choices: [{ delta: { content: null } }], prompt_progress: { total: 9, cache: 0 } });
  expect(receiver.begun).toBe(false);
  send({ choices: [{ delta: { content: "Hi" } }] });
  expect(receiver.begun).toBe(true);
  receiver.dispose();
});

test("a transcript that is called HTML is passed on as plain text, a page in place of a chat is not", () => {
  const types: (readonly string[])[] = [];
  const target = (operation: "transcription" | "chat") => ({
    ...{ sink: { ...sink(false), head: (_: number, headers: readonly string[]) => void types.push(headers) } },
    ...{ headers: [], model: "river", operation },
  });
  const head = { status: 200, contentType: "text/html; charset=utf-8", framing: { type: "length", bytes: 3 } } as const;
  receiverFor(head, target("transcription")).body(Buffer.from("Hi\n"));
  expect(types).toEqual([["Content-Type", "text/plain; charset=utf-8"]]);
  expect(() => receiverFor(head, target("chat"))).toThrow('content type "text/html');
});
