import { createOpenAI } from "@ai-sdk/openai";
import Anthropic from "@anthropic-ai/sdk";
import { HumanMessage } from "@langchain/core/messages";
import { ChatOpenAI } from "@langchain/openai";
import { generateText, jsonSchema, Output, streamText, type ToolSet, tool } from "ai";
import { Ollama } from "ollama";
import OpenAI from "openai";

/** What a scenario asks. */
export interface Ask {
  readonly url: string;
  readonly key: string;
  readonly model: string;
  readonly text: string;
  readonly streamed?: boolean;
  readonly tool?: boolean;
  readonly schema?: boolean;
  /** Base64 of a PNG. */
  readonly image?: string;
  readonly signal?: AbortSignal;
  /** Called with each piece of a stream. */
  readonly onPiece?: () => void;
}

export interface Answer {
  readonly text: string;
  /** Name and arguments of the function that is called. */
  readonly call: { readonly name: string; readonly arguments: unknown } | null;
}

/** An official client as it is, with its own defaults for retries. */
export interface Client {
  readonly name: string;
  /** It asks again by itself after a 429. */
  readonly retries: boolean;
  /** It has a parameter for a JSON Schema that answers follow. */
  readonly hasSchema: boolean;
  ask(ask: Ask): Promise<Answer>;
}

export const SCHEMA = {
  type: "object" as const,
  properties: { city: { type: "string" as const, maxLength: 12 } },
  required: ["city"],
  additionalProperties: false,
};
export const TOOL = { name: "get_weather", description: "Weather of a city", parameters: SCHEMA };
const MAX_TOKENS = 48;
const LONG = 400;
export const limitOf = ({ signal }: Ask): number => (signal === undefined ? MAX_TOKENS : LONG);

async function collected(pieces: AsyncIterable<string>, { onPiece }: Ask): Promise<string> {
  let text = "";
  for await (const piece of pieces) {
    if (piece === "") continue;
    text += piece;
    onPiece?.();
  }
  return text;
}

const openai: Client = {
  name: "openai",
  retries: true,
  hasSchema: true,
  async ask(ask) {
    const client = new OpenAI({ baseURL: `${ask.url}/v1`, apiKey: ask.key });
    const image = { type: "image_url" as const, image_url: { url: `data:image/png;base64,${ask.image}` } };
    const request = {
      model: ask.model,
      max_tokens: limitOf(ask),
      temperature: 0,
      messages: [
        {
          role: "user" as const,
          content: ask.image === undefined ? ask.text : [{ type: "text" as const, text: ask.text }, image],
        },
      ],
      ...(ask.tool ? { tools: [{ type: "function" as const, function: TOOL }], tool_choice: "required" as const } : {}),
      ...(ask.schema
        ? {
            response_format: {
              type: "json_schema" as const,
              json_schema: { name: "city", strict: true, schema: SCHEMA },
            },
          }
        : {}),
    };
    if (ask.streamed) {
      const stream = await client.chat.completions.create({ ...request, stream: true }, { signal: ask.signal });
      const pieces = async function* () {
        for await (const { choices } of stream) yield choices[0]?.delta.content ?? "";
      };
      return { text: await collected(pieces(), ask), call: null };
    }
    const { choices } = await client.chat.completions.create(request);
    const [call] = choices[0]?.message.tool_calls ?? [];
    return {
      text: choices[0]?.message.content ?? "",
      call:
        call?.type === "function" ? { name: call.function.name, arguments: JSON.parse(call.function.arguments) } : null,
    };
  },
};

const anthropic: Client = {
  name: "@anthropic-ai/sdk",
  retries: true,
  hasSchema: false,
  async ask(ask) {
    const client = new Anthropic({ baseURL: ask.url, apiKey: ask.key });
    const image = {
      type: "image" as const,
      source: { type: "base64" as const, media_type: "image/png" as const, data: ask.image ?? "" },
    };
    const request = {
      model: ask.model,
      max_tokens: limitOf(ask),
      messages: [
        {
          role: "user" as const,
          content: ask.image === undefined ? ask.text : [{ type: "text" as const, text: ask.text }, image],
        },
      ],
      ...(ask.tool
        ? {
            tools: [{ name: TOOL.name, description: TOOL.description, input_schema: SCHEMA }],
            tool_choice: { type: "any" as const },
          }
        : {}),
    };
    if (ask.streamed) {
      const stream = client.messages.stream(request, { signal: ask.signal });
      const pieces = async function* () {
        for await (const event of stream)
          yield event.type === "content_block_delta" && event.delta.type === "text_delta" ? event.delta.text : "";
      };
      return { text: await collected(pieces(), ask), call: null };
    }
    const { content } = await client.messages.create(request);
    const call = content.find((block) => block.type === "tool_use");
    return {
      text: content.map((block) => (block.type === "text" ? block.text : "")).join(""),
      call: call === undefined ? null : { name: call.name, arguments: call.input },
    };
  },
};

const ollama: Client = {
  name: "ollama",
  retries: false,
  hasSchema: true,
  async ask(ask) {
    const client = new Ollama({ host: ask.url, headers: { authorization: `Bearer ${ask.key}` } });
    ask.signal?.addEventListener("abort", () => client.abort());
    const request = {
      model: ask.model,
      options: { num_predict: limitOf(ask), temperature: 0 },
      messages: [{ role: "user", content: ask.text, ...(ask.image === undefined ? {} : { images: [ask.image] }) }],
      ...(ask.tool ? { tools: [{ type: "function", function: TOOL }] } : {}),
      ...(ask.schema ? { format: SCHEMA } : {}),
    };
    if (ask.streamed) {
      const stream = await client.chat({ ...request, stream: true });
      const pieces = async function* () {
        for await (const { message } of stream) yield message.content;
      };
      return { text: await collected(pieces(), ask), call: null };
    }
    const { message } = await client.chat(request);
    const [call] = message.tool_calls ?? [];
    return { text: message.content, call: call === undefined ? null : { ...call.function } };
  },
};

// The package's own types do not hold with `exactOptionalPropertyTypes`.
const toolSet = {
  [TOOL.name]: tool({ description: TOOL.description, inputSchema: jsonSchema(SCHEMA) }),
} as unknown as ToolSet;

const vercel: Client = {
  name: "ai, @ai-sdk/openai",
  retries: true,
  hasSchema: true,
  async ask(ask) {
    const model = createOpenAI({ baseURL: `${ask.url}/v1`, apiKey: ask.key }).chat(ask.model);
    const content =
      ask.image === undefined
        ? ask.text
        : [
            { type: "text" as const, text: ask.text },
            { type: "image" as const, image: ask.image, mediaType: "image/png" },
          ];
    const request = {
      model,
      maxOutputTokens: limitOf(ask),
      messages: [{ role: "user" as const, content }],
      ...(ask.tool ? { tools: toolSet, toolChoice: "required" as const } : {}),
      ...(ask.schema ? { output: Output.object({ schema: jsonSchema(SCHEMA) }) } : {}),
      ...(ask.signal === undefined ? {} : { abortSignal: ask.signal }),
    };
    if (ask.streamed) {
      let failure: unknown = null;
      const { textStream } = streamText({
        ...request,
        onError: ({ error }) => {
          failure = error;
        },
      });
      const text = await collected(textStream, ask);
      if (failure !== null) throw failure;
      ask.signal?.throwIfAborted();
      return { text, call: null };
    }
    const { text, toolCalls } = await generateText(request);
    const [call] = toolCalls;
    return { text, call: call === undefined ? null : { name: call.toolName, arguments: call.input } };
  },
};

const langchain: Client = {
  name: "@langchain/openai",
  retries: true,
  hasSchema: true,
  async ask(ask) {
    const model = new ChatOpenAI({
      model: ask.model,
      apiKey: ask.key,
      temperature: 0,
      maxTokens: limitOf(ask),
      configuration: { baseURL: `${ask.url}/v1` },
    });
    const image = { type: "image_url" as const, image_url: { url: `data:image/png;base64,${ask.image}` } };
    const message = new HumanMessage({
      content: ask.image === undefined ? ask.text : [{ type: "text" as const, text: ask.text }, image],
    });
    if (ask.streamed) {
      const stream = await model.stream([message], ask.signal === undefined ? {} : { signal: ask.signal });
      const pieces = async function* () {
        for await (const each of stream) yield each.text;
      };
      return { text: await collected(pieces(), ask), call: null };
    }
    if (ask.schema) {
      const answer = await model.withStructuredOutput(SCHEMA, { method: "jsonSchema" }).invoke([message]);
      return { text: JSON.stringify(answer), call: null };
    }
    const bound = ask.tool
      ? model.bindTools([{ type: "function", function: TOOL }], { tool_choice: "required" })
      : model;
    const answer = await bound.invoke([message]);
    const [call] = answer.tool_calls ?? [];
    return { text: answer.text, call: call === undefined ? null : { name: call.name, arguments: call.args } };
  },
};

export const clients: readonly Client[] = [openai, anthropic, ollama, vercel, langchain];
