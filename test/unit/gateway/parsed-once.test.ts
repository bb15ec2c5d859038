import { afterEach, expect, test, vi } from "vitest";
import { anthropicDoor } from "../../../src/gateway/doors/anthropic/door.ts";
import { decodeInfer } from "../../../src/gateway/doors/kserve/decode.ts";
import { tensorHead, tensorOf } from "../../../src/gateway/doors/kserve/tensors.ts";
import type { OllamaOptions } from "../../../src/gateway/doors/ollama/ports.ts";
import { decodeChat, decodeGenerate } from "../../../src/gateway/doors/ollama/text.ts";
import { chatOf } from "../../../src/gateway/doors/openai/responses/plan.ts";
import { readRequest } from "../../../src/gateway/doors/openai/responses/request.ts";
import type { DecodedBody } from "../../../src/gateway/front/door.ts";
import { testModel } from "../../support/fake-engine.ts";

const hello = [{ role: "user", content: "Hello" }];
const bytes = (body: object): Buffer => Buffer.from(JSON.stringify({ model: "river", ...body }));
const ollama = { directory: { find: () => undefined, all: () => [] } } as unknown as OllamaOptions;
const messages = anthropicDoor({} as Parameters<typeof anthropicDoor>[0]).inference[0];
const text = tensorOf(tensorHead("text_input", "BYTES", [1]), ["Once"]);
const infer = { model: "river", version: "", id: "", parameters: {}, inputs: [text], outputs: [] };

afterEach(() => vi.restoreAllMocks());

type Decoded = Pick<DecodedBody, "body" | "checked">;

// A body of some MiB holds up everybody while it is parsed.
test.each<[string, number, () => Decoded | Promise<Decoded>]>([
  ["/api/chat", 1, () => decodeChat(bytes({ messages: hello }), ollama)],
  ["/api/generate", 1, () => decodeGenerate(bytes({ prompt: "Hello" }), ollama)],
  [
    "/v1/messages",
    1,
    () =>
      messages?.decode(bytes({ max_tokens: 9, messages: hello }), {}, {} as never, {
        tenant: "local",
        models: null,
      }) as DecodedBody,
  ],
  ["/v1/responses", 0, async () => chatOf(await readRequest({ model: "river", input: "Hello" }, null))],
  ["/v2/models/river/infer", 0, () => decodeInfer(infer, testModel({ name: "river" }), false).call],
])("what %s was sent is parsed once, and written once where it is sent on", async (_, parsed, decode) => {
  const parse = vi.spyOn(JSON, "parse");
  const { body, checked } = await decode();
  const known = checked?.().body ?? body;
  expect(parse).toHaveBeenCalledTimes(parsed);
  const write = vi.spyOn(JSON, "stringify");
  expect(JSON.parse(known.bytes.toString())).toMatchObject({ model: "river" });
  expect(known.bytes).toBe(known.bytes);
  expect(write).toHaveBeenCalledTimes(1);
});
