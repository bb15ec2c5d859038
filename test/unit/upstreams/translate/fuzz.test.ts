import fc from "fast-check";
import { expect, test } from "vitest";
import { SendFailure } from "../../../../src/core/upstream.ts";
import { fieldUses } from "../../../../src/upstreams/translate/fields.ts";
import { anthropicWire } from "../../../fakes/dialects/anthropic-wire.ts";
import { googleWire } from "../../../fakes/dialects/google-wire.ts";
import { RecordingSink } from "../../../support/calls.ts";
import { chatSending, connected, HELLO } from "../../../support/translated.ts";

const json = fc.jsonValue({ maxDepth: 3, noUnicodeString: false });
const word = fc.constantFrom(
  "text",
  "image_url",
  "input_audio",
  "file",
  "function",
  "json_schema",
  "auto",
  "system",
  "tool",
);

/** Values that are nearly what a field takes. */
const nearly = fc.letrec((tie) => ({
  value: fc.oneof({ maxDepth: 4 }, json, word, tie("list"), tie("object")),
  list: fc.array(tie("value"), { maxLength: 3 }),
  object: fc.dictionary(
    fc.constantFrom(
      ...[
        "role",
        "content",
        "type",
        "text",
        "name",
        "function",
        "arguments",
        "tool_calls",
        "tool_call_id",
        "id",
        "url",
      ],
      ...[
        "image_url",
        "input_audio",
        "file",
        "data",
        "schema",
        "json_schema",
        "properties",
        "extra_content",
        "anthropic",
      ],
      ...["google", "thinking", "strict", "parameters", "enum", "items", "anyOf", "$ref"],
    ),
    tie("value"),
    { maxKeys: 4 },
  ),
})).value;

const text = fc.oneof(fc.string(), fc.array(fc.record({ type: fc.constant("text"), text: fc.string() })), nearly);
const called = fc.record({ name: fc.constantFrom("f", "g"), arguments: fc.constantFrom("{}", '{"a":[1]}', "", "[") });
const call = fc.record({ id: fc.constantFrom("a", "b"), function: called, extra_content: nearly });
const message = fc.oneof(
  fc.record({ role: fc.constantFrom("system", "developer", "user", "assistant"), content: text }),
  fc.record({ role: fc.constant("assistant"), tool_calls: fc.array(call, { maxLength: 2 }) }),
  fc.record({ role: fc.constant("tool"), tool_call_id: fc.constantFrom("a", "b"), content: text }),
);
const messages = fc.oneof(fc.constant(HELLO), fc.array(message, { maxLength: 4 }), nearly);
const tool = fc.record({
  type: fc.constant("function"),
  function: fc.record({ name: fc.string(), parameters: nearly }),
});
const schema = fc.record({
  type: fc.constant("json_schema"),
  json_schema: fc.record({ schema: nearly, strict: nearly }),
});
const others = Object.keys(fieldUses).filter((name) => name !== "messages");
const field = fc.oneof(
  fc.tuple(fc.constantFrom(...others), nearly),
  fc.tuple(fc.constant("tools"), fc.array(tool, { maxLength: 2 })),
  fc.tuple(fc.constant("response_format"), schema),
);
const fields = fc
  .tuple(messages, fc.array(field, { maxLength: 2 }))
  .map(([said, more]) => ({ messages: said, ...Object.fromEntries(more) }));

test.each([
  ["anthropic", anthropicWire.text],
  ["google", googleWire.text],
] as const)("%s: whatever a request holds, it is sent or refused as the client's mistake", async (dialect, wire) => {
  const fetch = async (): Promise<Response> => new Response(wire, { headers: { "content-type": "text/event-stream" } });
  using connection = connected(dialect, "http://127.0.0.1:1", { fetch });
  await fc.assert(
    fc.asyncProperty(fields, async (request) => {
      const error = await connection.upstream.send(chatSending(request), new RecordingSink()).then(
        () => null,
        (reason: unknown) => reason,
      );
      if (error === null) return;
      expect(error).toBeInstanceOf(SendFailure);
      const { reason } = error as SendFailure;
      expect([reason.code, reason.status], String(reason.cause)).toEqual(["invalid_request", 400]);
    }),
    { numRuns: 300 },
  );
});
