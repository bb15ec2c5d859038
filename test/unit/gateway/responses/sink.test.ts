import { describe, expect, it } from "vitest";
import { AssistantError } from "../../../../src/core/errors.ts";
import { ResponseAnswer } from "../../../../src/gateway/doors/openai/responses/answer.ts";
import { newResponseId } from "../../../../src/gateway/doors/openai/responses/ids.ts";
import { readRequest } from "../../../../src/gateway/doors/openai/responses/request.ts";
import { eventText, responseSink } from "../../../../src/gateway/doors/openai/responses/sink.ts";
import { RecordingSink } from "../../../support/calls.ts";

const { repeated } = await readRequest({ model: "river", input: "Hello", store: true }, null);
const lost = new AssistantError("engine_lost", "The engine died.");
const full = new AssistantError("disk_full", "The disk is full.");
const HEAD = ["x-assistant-model", "river", "content-type", "text/event-stream"];
const chunk = (delta: object, finish: string | null = null): Buffer =>
  Buffer.from(`data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`);

function answering({
  streamed = true,
  keep = async () => {},
}: {
  streamed?: boolean;
  keep?: () => Promise<void>;
} = {}) {
  const client = new RecordingSink();
  let events = "";
  const answer = new ResponseAnswer({
    ...{ id: newResponseId(), createdAt: 1, model: "stream", repeated, summarizes: false, inputItems: 1 },
    onEvent: (event) => {
      events += eventText(event);
    },
  });
  const taken = (): string => {
    const fresh = events;
    events = "";
    return fresh;
  };
  const kept: unknown[] = [];
  const sink = responseSink(client, {
    ...{ answer, streamed, taken },
    keep: async () => {
      await keep();
      kept.push(answer.response["status"]);
    },
  });
  const types = (): string[] => [...client.text.matchAll(/^event: (.*)$/gm)].map(([, type = ""]) => type);
  const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  return { client, sink, kept, types, settled };
}

describe("the sink of a response", () => {
  it("begins with the model that answers, and ends when the response is kept", async () => {
    const { client, sink, kept, types, settled } = answering();
    sink.head(200, HEAD);
    expect(types()).toEqual(["response.created", "response.in_progress"]);
    expect(client.text).toContain('"model":"river"');
    sink.chunk(chunk({ content: "Rhine" }));
    sink.end(Buffer.concat([chunk({}, "stop"), Buffer.from("data: [DONE]\n\n")]));
    expect([client.ending, kept]).toEqual([null, []]);
    await settled();
    expect([client.ending, kept]).toEqual(["end", ["completed"]]);
    expect(types().at(-1)).toBe("response.completed");
  });

  it("begins once where a second target takes over", () => {
    const { sink, types } = answering();
    sink.head(200, HEAD);
    sink.head(200, HEAD);
    expect(types()).toEqual(["response.created", "response.in_progress"]);
  });

  it("refuses as any request where nothing was begun, and keeps nothing", () => {
    const { client, sink, kept } = answering();
    sink.fail(lost, [], true);
    expect([client.ending, kept]).toEqual([lost, []]);
  });

  it("ends a stream that was begun with error and response.failed, and keeps that", async () => {
    const { client, sink, kept, types, settled } = answering();
    sink.head(200, HEAD);
    sink.chunk(chunk({ content: "Rhine" }));
    sink.fail(lost, [], true);
    await settled();
    expect(types().slice(-2)).toEqual(["error", "response.failed"]);
    expect([client.ending, kept]).toEqual(["end", ["failed"]]);
  });

  it("keeps as cancelled what its client left", async () => {
    const { client, sink, kept, settled } = answering();
    sink.head(200, HEAD);
    sink.abort();
    await settled();
    expect([client.ending, kept]).toEqual(["abort", ["cancelled"]]);
  });

  it("sends an answer in one piece when it is kept, or why it could not be", async () => {
    const whole = Buffer.from(JSON.stringify({ choices: [{ message: { content: "Rhine" }, finish_reason: "stop" }] }));
    const good = answering({ streamed: false });
    good.sink.head(200, []);
    good.sink.end(whole);
    expect(good.client.status).toBeNull();
    await good.settled();
    expect(JSON.parse(good.client.text)).toMatchObject({ object: "response", status: "completed" });
    const bad = answering({ streamed: false, keep: () => Promise.reject(full) });
    bad.sink.head(200, []);
    bad.sink.end(whole);
    await bad.settled();
    expect([bad.client.ending, bad.client.text]).toEqual([full, ""]);
  });
});
