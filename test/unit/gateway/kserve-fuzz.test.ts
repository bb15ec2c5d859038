import fc from "fast-check";
import { expect, test } from "vitest";
import { isAssistantError } from "../../../src/core/errors.ts";
import { decodeInfer } from "../../../src/gateway/doors/kserve/decode.ts";
import { generateRequestOf, inferHeadOf, inferRequestOf, namedBy } from "../../../src/gateway/doors/kserve/request.ts";
import { testModel } from "../../support/fake-engine.ts";

const models = [testModel({ name: "river" }), testModel({ name: "vectors", kind: "embedding" }), undefined];
const odd = fc.oneof(fc.jsonValue(), fc.constantFrom("constructor", "__proto__", -1, 2 ** 40, [], {}, null));
const name = fc.oneof(
  fc.constantFrom(
    "text_input",
    "messages",
    "stop",
    "stream",
    "max_tokens",
    "sampling_parameters",
    "priority",
    "constructor",
  ),
  fc.string(),
);
const parameters = fc.oneof(fc.dictionary(name, odd), odd);
const mostly = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 5, arbitrary: value }, { weight: 1, arbitrary: odd });
const tensor = fc.record(
  {
    name: mostly(name),
    datatype: mostly(fc.constantFrom("BYTES", "INT32", "BOOL", "FP32", "INT64", "FP16")),
    shape: mostly(fc.array(fc.integer({ min: -1, max: 3 }), { maxLength: 3 })),
    data: mostly(fc.array(fc.oneof(fc.string(), fc.integer(), fc.boolean()), { maxLength: 3 })),
    parameters: mostly(fc.record({ binary_data_size: mostly(fc.integer({ min: -1, max: 20 })) }, { requiredKeys: [] })),
  },
  { requiredKeys: ["name"] },
);
const inferBody = fc.record(
  {
    id: mostly(fc.string()),
    parameters,
    inputs: mostly(fc.array(tensor, { maxLength: 3 })),
    outputs: mostly(
      fc.array(fc.record({ name: mostly(name), parameters }, { requiredKeys: ["name"] }), { maxLength: 2 }),
    ),
  },
  { requiredKeys: ["inputs"] },
);
const generateBody = fc.dictionary(fc.oneof(fc.constantFrom("text_input", "messages", "parameters", "id"), name), odd);

/** Reads a body for every model as the door does. What it cannot read it must refuse as the client's mistake. */
function read(work: (model: (typeof models)[number]) => ReturnType<typeof decodeInfer>): void {
  for (const model of models) {
    try {
      work(model).call.checked?.();
    } catch (error) {
      expect(isAssistantError(error) && error.status < 500 ? "refused" : error).toBe("refused");
    }
  }
}

test("whatever an inference's body holds, it is read or refused", () => {
  fc.assert(
    fc.property(inferBody, fc.uint8Array({ maxLength: 24 }), fc.boolean(), (body, tail, streams) => {
      const json = Buffer.from(JSON.stringify(body));
      const headers = { "inference-header-content-length": String(json.length) };
      read((model) =>
        decodeInfer(
          inferRequestOf(
            Buffer.concat([json, tail]),
            inferHeadOf(Buffer.concat([json, tail]), headers),
            namedBy("river"),
          ).request,
          model,
          streams,
        ),
      );
    }),
    { numRuns: 400 },
  );
});

test("so is what generate gets", () => {
  fc.assert(
    fc.property(generateBody, fc.boolean(), (body, streams) => {
      const bytes = Buffer.from(JSON.stringify(body));
      read((model) => decodeInfer(generateRequestOf(bytes, namedBy("river")), model, streams));
    }),
    { numRuns: 400 },
  );
});
