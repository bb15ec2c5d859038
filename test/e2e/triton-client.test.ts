import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, expect, test } from "vitest";
import { installAssistant, packageRoot, type TestAssistant } from "../support/assistant.ts";
import { chatModelFile, embeddingModelFile } from "../support/model-files.ts";
import { chatModelToml, embeddingModelToml } from "../support/models.ts";
import { nativeEngineConfig } from "../support/native-engine.ts";
import { tritonClient } from "../support/triton.ts";

interface Common {
  readonly text: readonly string[];
}
interface Seen {
  readonly http: Common;
  readonly grpc: Common;
  readonly compressed: readonly string[];
  readonly json: readonly string[];
  readonly index: readonly string[];
  readonly stream: {
    readonly answers: Readonly<Record<string, readonly (readonly [text: string, finish: string])[]>>;
    readonly errors: readonly string[];
  };
}

let assistant: TestAssistant;
let seen: Seen;

beforeAll(async () => {
  const packages = await tritonClient();
  assistant = await installAssistant({
    env: { ASSISTANT_GRPC_ADDR: "127.0.0.1:0" },
    models: {
      smol: chatModelToml(await chatModelFile(), "llama-server"),
      minilm: embeddingModelToml((await embeddingModelFile()).model, "llama-server"),
    },
    config: nativeEngineConfig(),
  });
  const { host } = new URL(await assistant.serve());
  const { grpc } = await assistant.status();
  const script = join(packageRoot, "test/fixtures/triton-client.py");
  const { stdout } = await execa("python3", [script, host, grpc ?? "", "smol", "minilm"], {
    env: { PYTHONPATH: packages, no_proxy: "*" },
    stdin: "ignore",
  });
  seen = JSON.parse(stdout) as Seen;
});
afterAll(() => assistant?.[Symbol.asyncDispose]());

test.each(["http", "grpc"] as const)("the official Triton client works over %s", (way) => {
  expect(seen[way]).toEqual({
    live: true,
    ready: true,
    model_ready: true,
    nobody_ready: false,
    server: "assistant",
    inputs: ["text_input", "messages"],
    id: "one",
    text: [expect.stringContaining("Paris")],
    finish: ["length"],
    chat: [expect.stringMatching(/hello/i)],
    several: [seen[way].text[0], expect.stringContaining("three")],
    counted: 3,
    finish_unasked: true,
    shape: [3, 384],
    nearer: true,
    nobody: {
      status: way === "http" ? "404" : "StatusCode.NOT_FOUND",
      message: expect.stringContaining('No model is called "nobody"'),
    },
    wrong: {
      status: way === "http" ? "400" : "StatusCode.INVALID_ARGUMENT",
      message: expect.stringContaining('"text_input" is of INT32; expected BYTES'),
    },
  });
});

test("streams several answers over one stream, and an error beside them", () => {
  const { a = [], b = [] } = seen.stream.answers;
  const textOf = (parts: typeof a): string => parts.map(([text]) => text).join("");
  expect(textOf(a)).not.toBe("");
  expect(textOf(a).startsWith(textOf(b))).toBe(true);
  expect(a.length).toBeGreaterThan(3);
  expect(a.map(([, finish]) => finish)).toEqual([...a.slice(1).map(() => ""), "length"]);
  expect(seen.stream.errors).toEqual([expect.stringContaining('No model is called "nobody"')]);
});

test("compressed requests and tensors in JSON give the same answer", () => {
  expect(seen.compressed).toEqual(seen.http.text);
  expect(seen.json).toEqual(seen.http.text);
  expect(seen.index).toEqual(["minilm", "smol"]);
});
