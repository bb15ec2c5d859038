import { expect, test } from "vitest";
import { checkStages } from "../../../src/pipelines/check.ts";

const llm = { name: "Ollama_LLM_Module", accepts: "text", emits: "text" };
const tts = { name: "GPTSoVit_TTS_Module", accepts: "text", emits: "audio" };

test("stages that fit are reported with their types", () => {
  expect(checkStages([llm, tts])).toEqual({
    valid: true,
    text: [
      "✅ Pipeline验证通过",
      "当前Pipeline: Ollama_LLM_Module -> GPTSoVit_TTS_Module",
      "类型详情:",
      "Ollama_LLM_Module (输入: text, 输出: text)",
      "GPTSoVit_TTS_Module (输入: text, 输出: audio)",
    ].join("\n"),
  });
});

test("no stages", () => {
  const { valid, text } = checkStages([]);
  expect(valid).toBe(false);
  expect(text.split("\n")[0]).toBe("❌ 验证失败: Pipeline不能为空");
});

test("types that differ name both stages", () => {
  const { valid, text } = checkStages([tts, llm]);
  expect(valid).toBe(false);
  expect(text.split("\n")[0]).toBe(
    "❌ 验证失败: 类型不匹配: GPTSoVit_TTS_Module 输出 audio 但 Ollama_LLM_Module 期望 text",
  );
});
