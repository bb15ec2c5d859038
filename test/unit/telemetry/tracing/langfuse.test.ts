import { expect, test } from "vitest";
import { langfuseAttributes } from "../../../../src/telemetry/tracing/langfuse.ts";

test("a task's conversation is the session, its key the user", () => {
  const attributes = {
    "assistant.task.id": "task-1",
    "assistant.tenant": "anna",
    "gen_ai.conversation.id": "conv_1",
    "gen_ai.request.model": "river",
  };
  expect(langfuseAttributes({ name: "task_execution", attributes })).toEqual({
    ...attributes,
    "langfuse.observation.type": "span",
    "langfuse.trace.name": "task_execution",
    "langfuse.trace.metadata.task_id": "task-1",
    "langfuse.trace.metadata.model": "river",
    "session.id": "conv_1",
    "user.id": "anna",
  });
});

test("a call that failed is an error, and what was recorded is its input and output", () => {
  const attributes = {
    "gen_ai.operation.name": "embeddings",
    "gen_ai.input.messages": "[1]",
    "gen_ai.output.messages": "[2]",
    "error.type": "engine_lost",
  };
  expect(langfuseAttributes({ name: "embeddings minilm", attributes })).toMatchObject({
    "langfuse.observation.type": "embedding",
    "langfuse.observation.level": "ERROR",
    "langfuse.observation.input": "[1]",
    "langfuse.observation.output": "[2]",
  });
});
