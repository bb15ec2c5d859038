import type { AnthropicLanguageModel } from "@ai-sdk/anthropic/internal";

// The provider packages share these types; they are imported from one of them to avoid a third package.

/** A request in the AI SDK's provider interface. */
export type CallOptions = Parameters<AnthropicLanguageModel["doStream"]>[0];
export type Prompt = CallOptions["prompt"];
type PromptMessage = Prompt[number];
export type UserPart = Extract<PromptMessage, { role: "user" }>["content"][number];
export type FilePart = Extract<UserPart, { type: "file" }>;
export type AssistantPart = Extract<PromptMessage, { role: "assistant" }>["content"][number];
export type ToolCallPart = Extract<AssistantPart, { type: "tool-call" }>;
export type ToolResultPart = Extract<
  Extract<PromptMessage, { role: "tool" }>["content"][number],
  { type: "tool-result" }
>;
type Tools = NonNullable<CallOptions["tools"]>;
export type FunctionTool = Extract<Tools[number], { type: "function" }>;
export type ToolChoice = NonNullable<CallOptions["toolChoice"]>;
export type ResponseFormat = NonNullable<CallOptions["responseFormat"]>;
export type JsonSchema = FunctionTool["inputSchema"];
export type ReasoningEffort = NonNullable<CallOptions["reasoning"]>;
export type ProviderOptions = NonNullable<CallOptions["providerOptions"]>;

export type PartStream = Awaited<ReturnType<AnthropicLanguageModel["doStream"]>>["stream"];
export type StreamPart = PartStream extends ReadableStream<infer Part> ? Part : never;
export type Metadata = NonNullable<Extract<StreamPart, { type: "tool-input-start" }>["providerMetadata"]>;
export type Usage = Extract<StreamPart, { type: "finish" }>["usage"];
export type FinishReason = Extract<StreamPart, { type: "finish" }>["finishReason"];
export type Warning = Extract<StreamPart, { type: "stream-start" }>["warnings"][number];
