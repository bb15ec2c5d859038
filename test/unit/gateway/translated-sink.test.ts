import { describe, expect, it } from "vitest";
import { AssistantError } from "../../../src/core/errors.ts";
import type { AnswerSink } from "../../../src/core/inference.ts";
import { type AnswerTranslator, translatedSink } from "../../../src/gateway/front/translated-sink.ts";

class Client implements AnswerSink {
  readonly takesFramed = true;
  readonly calls: unknown[] = [];
  status: number | null = null;
  head(status: number, headers: readonly string[], length?: number): void {
    this.status = status;
    this.calls.push(["head", status, headers, ...(length === undefined ? [] : [length])]);
  }
  chunk(payload: Buffer): boolean {
    this.calls.push(["chunk", payload.toString()]);
    return true;
  }
  framed(): boolean {
    throw new Error("unexpected");
  }
  onDrain(): void {}
  end(last?: Buffer): void {
    this.calls.push(["end", last?.toString()]);
  }
  endFramed(): void {}
  fail(error: AssistantError, _: readonly string[], betweenEvents: boolean): void {
    this.calls.push(["fail", error.code, betweenEvents]);
  }
  abort(): void {}
  waiting(): void {
    this.calls.push(["waiting"]);
  }
}

const wait = { reason: "queued", place: 1, expectedStartMs: null } as const;
const translator = (streamType: string): AnswerTranslator => ({
  streamType,
  chunk: ({ text }) => (text === undefined ? "" : `<${String(text)}>`),
  end: () => "</>",
  whole: ({ text }) => ({ said: text }),
});
const headers = ["content-type", "text/event-stream", "x-assistant-model", "tiny", "Content-Length", "9"];

describe("a translated answer", () => {
  it("passes each event on as soon as it is whole, and drops the end mark and empty ones", () => {
    const client = new Client();
    const sink = translatedSink(client, true, translator("application/x-ndjson"));
    expect(sink.takesFramed).toBe(false);
    sink.head(200, headers);
    const stream = Buffer.from('data: {"text":"a"}\n\n: comment\n\ndata: {}\n\ndata: {"text":"é"}\n\ndata: [DONE]\n\n');
    const cut = stream.indexOf(0xc3) + 1;
    sink.chunk(stream.subarray(0, 10));
    sink.chunk(stream.subarray(10, cut));
    sink.end(stream.subarray(cut));
    expect(client.calls).toEqual([
      ["head", 200, ["Content-Type", "application/x-ndjson", "x-assistant-model", "tiny"]],
      ["chunk", "<a>"],
      ["end", "<é></>"],
    ]);
  });

  it("is collected where it is not streamed, and has the length of what it became", () => {
    const client = new Client();
    const sink = translatedSink(client, false, translator("text/event-stream"));
    sink.head(200, headers);
    sink.chunk(Buffer.from('{"te'));
    sink.end(Buffer.from('xt":"b"}'));
    expect(client.calls).toEqual([
      ["head", 200, ["Content-Type", "application/json", "x-assistant-model", "tiny"], 12],
      ["end", '{"said":"b"}'],
    ]);
  });

  it("may always end with an event about what broke it", () => {
    const client = new Client();
    const sink = translatedSink(client, true, translator("text/event-stream"));
    sink.chunk(Buffer.from('data: {"text":"a"}\n\ndata: {"te'));
    sink.fail(new AssistantError("engine_lost", "Gone."), [], false);
    expect(client.calls).toEqual([
      ["chunk", "<a>"],
      ["fail", "engine_lost", true],
    ]);
  });

  it("shows a long wait in event streams alone", () => {
    const client = new Client();
    translatedSink(client, true, translator("text/event-stream")).waiting?.(wait, []);
    expect(client.calls).toEqual([["waiting"]]);
    expect(translatedSink(client, true, translator("application/x-ndjson")).waiting).toBeUndefined();
    expect(translatedSink(client, false, translator("text/event-stream")).waiting).toBeUndefined();
  });
});
