import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually, installAssistant, type TestAssistant } from "../support/assistant.ts";
import { chatModelFile } from "../support/model-files.ts";
import { bothEngines, chatModelToml } from "../support/models.ts";
import { nativeEngineConfig } from "../support/native-engine.ts";
import { eventErrors, schemaErrors } from "../support/openai-schema.ts";

type Events = OpenAI.Responses.ResponseStreamEvent[];

const collected = async (stream: AsyncIterable<OpenAI.Responses.ResponseStreamEvent>): Promise<Events> => {
  const events: Events = [];
  for await (const event of stream) events.push(event);
  return events;
};
const wrongIn = (events: Events): string[] =>
  events.flatMap((event) => eventErrors(event as unknown as Record<string, unknown>));

/** The client adds the text of all messages. */
const asSent = ({ output_text: _, ...response }: OpenAI.Responses.Response): object => {
  const { _request_id: __, ...rest } = response as unknown as Record<string, unknown>;
  return rest;
};

describe("the Responses API through the official client", () => {
  let assistant: TestAssistant;
  let client: OpenAI;

  beforeAll(async () => {
    const file = await chatModelFile();
    const models = Object.fromEntries(
      bothEngines.map((engine) => [engine, chatModelToml(file, engine).replace('"smol"', `"${engine}"`)]),
    );
    assistant = await installAssistant({ models, config: nativeEngineConfig() });
    client = new OpenAI({ baseURL: `${await assistant.serve()}/v1`, apiKey: "unused", maxRetries: 0 });
  });
  afterAll(() => assistant?.[Symbol.asyncDispose]());

  describe.each(bothEngines)("with %s", (model) => {
    const plain = { model, input: "Name three rivers.", max_output_tokens: 12, temperature: 0 };

    test("the same text comes whole and as OpenAI's events", async () => {
      const whole = await client.responses.create(plain);
      expect(schemaErrors("Response", asSent(whole))).toEqual([]);
      const events = await collected(await client.responses.create({ ...plain, stream: true }));
      expect(wrongIn(events)).toEqual([]);
      expect(events.map((event) => event.sequence_number)).toEqual(events.map((_, index) => index));
      const text = events.flatMap((event) => (event.type === "response.output_text.delta" ? [event.delta] : []));
      expect(text.length).toBeGreaterThan(5);
      expect(text.join("")).toBe(whole.output_text);
      const last = events.at(-1);
      if (last?.type !== "response.completed" && last?.type !== "response.incomplete")
        throw new Error(`the stream ends with ${last?.type}`);
      expect(last.response.usage).toMatchObject({ output_tokens: whole.usage?.output_tokens });
    });

    test("a conversation goes on from a kept response, and ends with its deletion", async () => {
      const first = await client.responses.create({ ...plain, input: "My name is Kim.", instructions: "Be kind." });
      const second = await client.responses.create({ ...plain, previous_response_id: first.id });
      expect(second.usage?.input_tokens).toBeGreaterThan(first.usage?.input_tokens ?? 0);
      expect((await client.responses.retrieve(second.id)).output_text).toBe(second.output_text);
      const items = [];
      for await (const item of client.responses.inputItems.list(second.id, { order: "asc", limit: 1 }))
        items.push(item);
      expect(items.map((item) => "role" in item && item.role)).toEqual(["user", "assistant", "user"]);
      await client.responses.delete(first.id);
      await expect(client.responses.retrieve(first.id)).rejects.toBeInstanceOf(OpenAI.NotFoundError);
      await expect(client.responses.create({ ...plain, previous_response_id: second.id })).rejects.toMatchObject({
        status: 400,
        param: "previous_response_id",
      });
    });

    test("a JSON Schema binds the answer", async () => {
      const schema = {
        type: "object",
        properties: { river: { type: "string", maxLength: 10 }, length: { type: "integer" } },
        required: ["river", "length"],
        additionalProperties: false,
      };
      const { output_text } = await client.responses.create({
        ...plain,
        max_output_tokens: 100,
        text: { format: { type: "json_schema", name: "river", schema } },
      });
      expect(JSON.parse(output_text)).toEqual({ river: expect.any(String), length: expect.any(Number) });
    });

    test("a background response goes on without its client, is read again from its middle, and can be cancelled", async () => {
      const long = { ...plain, input: "Tell a long story.", max_output_tokens: 1500, background: true };
      const stream = await client.responses.create({ ...long, stream: true });
      let id = "";
      for await (const event of stream) {
        if (event.type === "response.created") id = event.response.id;
        if (event.type === "response.output_text.delta") break;
      }
      stream.controller.abort();
      const resumed = await client.responses.retrieve(id, { stream: true, starting_after: 3 });
      for await (const event of resumed) {
        expect(event.sequence_number).toBe(4);
        break;
      }
      resumed.controller.abort();
      expect((await client.responses.retrieve(id)).status).toBe("in_progress");
      const cancelled = await client.responses.cancel(id);
      expect(cancelled.status).toBe("cancelled");
      await eventually("no request in flight", async () =>
        (await assistant.status()).instances.every((instance) => instance.inFlight === 0),
      );
    });

    test("a background response can be asked for until it is complete", async () => {
      const queued = await client.responses.create({ ...plain, background: true });
      expect(["queued", "in_progress"]).toContain(queued.status);
      const done = await eventually("the response to end", async () => {
        const now = await client.responses.retrieve(queued.id);
        return now.status !== "queued" && now.status !== "in_progress" && now;
      });
      expect(done.output_text.length).toBeGreaterThan(0);
      await expect(client.responses.cancel(queued.id)).rejects.toBeInstanceOf(OpenAI.BadRequestError);
    });
  });

  test("an unknown model is refused before the background, and built-in tools by name", async () => {
    await expect(client.responses.create({ model: "nobody", input: "Hello", background: true })).rejects.toBeInstanceOf(
      OpenAI.NotFoundError,
    );
    await expect(
      client.responses.create({
        model: bothEngines[0] ?? "",
        input: "Hello",
        tools: [{ type: "file_search", vector_store_ids: ["vs_1"] }],
      }),
    ).rejects.toMatchObject({ status: 400, param: "tools[0].type" });
  });
});
