import { Template } from "@huggingface/jinja";
import { describe, expect, test } from "vitest";
import { toolsOf, toolTemplate, withCalls } from "../../../src/engines/node-llama-cpp/worker/tools.ts";
import { hermesTemplate, llamaTemplate, plainTemplate, xmlTemplate } from "../../support/chat-templates.ts";

const found = (text: string) => toolTemplate(text, new Template(text));

describe("how a template writes calls", () => {
  test("marked, as Qwen and Hermes do", () => {
    expect(found(hermesTemplate)).toEqual({
      syntax: { start: '<tool_call>\n{"name": "', middle: '", "arguments": ', end: "}\n</tool_call>" },
      wantsText: false,
    });
  });

  test("as JSON alone, as Llama does", () => {
    expect(found(llamaTemplate)).toMatchObject({
      syntax: { start: '{"name": "', middle: '", "parameters": ' },
      wantsText: false,
    });
  });

  test("with arguments that the template wants as text", () => {
    const joined = hermesTemplate.replace(
      `{{ '", "arguments": ' }}{{ f.arguments | tojson }}`,
      `{{ '", "arguments": ' + f.arguments }}`,
    );
    expect(found(joined)?.wantsText).toBe(true);
  });

  test("a template without tools, or with arguments that are no JSON, has none", () => {
    expect(found(plainTemplate)).toBeNull();
    expect(found(xmlTemplate)).toBeNull();
  });
});

describe("tools of a request", () => {
  const tool = { type: "function", function: { name: "rain", parameters: { type: "object" } } };

  test("are those that may be called", () => {
    expect(toolsOf({ tools: [tool], tool_choice: "required", parallel_tool_calls: true })).toMatchObject({
      functions: [{ name: "rain", parameters: { type: "object" } }],
      required: true,
      parallel: true,
    });
    expect(toolsOf({ tools: [tool], tool_choice: "none" })).toBeNull();
    expect(toolsOf({ tools: [] })).toBeNull();
  });

  test.each([
    [{ tools: "rain" }],
    [{ tools: [{ type: "function" }] }],
    [{ tools: [tool], tool_choice: "perhaps" }],
    [{ tools: [{ type: "function", function: { name: "rain", parameters: [] } }] }],
  ])("%j is refused", (body) => {
    expect(() => toolsOf(body)).toThrow(/Field 'tool/);
  });

  test("earlier calls are given as the template wants them", () => {
    const message = { role: "assistant", tool_calls: [{ function: { name: "rain", arguments: '{"a":1}' } }] };
    expect(withCalls(message, false).tool_calls[0]?.function.arguments).toEqual({ a: 1 });
    expect(withCalls(message, true).tool_calls[0]?.function.arguments).toBe('{"a":1}');
  });
});
