import { steadyClock } from "../../../core/clock.ts";
import { AssistantError } from "../../../core/errors.ts";
import { bodyOf, type InferenceCall, type JsonObject } from "../../../core/inference.ts";
import type { ModelSpec } from "../../../core/model.ts";
import { decodedBody } from "../../canonical/decode.ts";
import { invalid } from "../../canonical/rules.ts";
import type { DecodedBody } from "../../front/door.ts";
import { AnswerTensors } from "./answer.ts";
import { operationFor, type TensorOperation, tensorsOf } from "./model-tensors.ts";
import type { InferRequest } from "./request.ts";
import { isAlias, NO_SETTINGS, type Settings, settingsOf } from "./settings.ts";
import { invalidTensor, type Tensor } from "./tensors.ts";

/** A call for the core, and how to convert its answer to tensors. */
export interface DecodedInfer {
  readonly call: Omit<DecodedBody, "translate"> & Pick<InferenceCall, "operation" | "wire">;
  readonly answer: AnswerTensors;
}

/** Tensors that contain the prompt; all others are settings. */
const PROMPTS: readonly string[] = ["text_input", "messages"];

const wires = { chat: "openai.chat", completion: "openai.completion", embedding: "openai.embedding" } as const;

/**
 * Translates a request's tensors into the body of a completion, a chat or an embedding. `model`: undefined if there is
 * no such model, which the core refuses. `streams`: text is streamed unless the request says otherwise. Throws
 * `invalid_request` naming the tensor or the parameter.
 */
export function decodeInfer(request: InferRequest, model: ModelSpec | undefined, streams: boolean): DecodedInfer {
  if (model === undefined) return decoded(request, "completion", {}, NO_SETTINGS);
  const { inputs, outputs } = tensorsOf(model);
  const unknown = request.inputs.find(({ name }) => !inputs.some((each) => each.name === name) && !isAlias(name));
  if (unknown !== undefined)
    throw invalidTensor(
      unknown.name,
      `is none of ${JSON.stringify(model.name)}; it has ${inputs.map(({ name }) => name).join(", ") || "no tensors"}`,
    );
  const missing = request.outputs.find((name) => !outputs.some((each) => each.name === name));
  if (missing !== undefined)
    throw invalid(
      "outputs",
      `${JSON.stringify(model.name)} has no output ${JSON.stringify(missing.slice(0, 60))}; it has ${outputs.map(({ name }) => name).join(", ")}.`,
    );
  const operation = operationFor(
    model,
    request.inputs.some(({ name }) => name === "messages"),
  );
  const settings = settingsOf(
    operation,
    request.parameters,
    request.inputs.filter(({ name }) => !PROMPTS.includes(name)),
  );
  if (settings.stream === true && !streams)
    throw new AssistantError("invalid_request", "This route does not stream answers.", {
      param: "stream",
      remedy: "Use ModelStreamInfer of gRPC, or generate_stream.",
    });
  const isStreamed = streams && settings.stream !== false && operation !== "embedding";
  const { fields, extraOutputs } = settings;
  if (isStreamed) requireOneAnswer(fields);
  const isCounted = [...request.outputs, ...extraOutputs].some((name) => name.startsWith("num_"));
  const body = {
    ...promptOf(operation, request.inputs, isStreamed),
    ...fields,
    ...(isStreamed ? { stream: true } : {}),
    ...(isStreamed && isCounted ? { stream_options: { include_usage: true } } : {}),
  };
  return decoded(request, operation, body, settings);
}

function decoded(
  request: InferRequest,
  operation: TensorOperation,
  body: JsonObject,
  { extraOutputs, priority, timeoutMs }: Omit<Settings, "fields" | "stream">,
): DecodedInfer {
  return {
    call: {
      ...decodedBody(operation, bodyOf({ model: request.model, ...body })),
      ...(request.capabilities === undefined ? {} : { capabilities: request.capabilities }),
      operation,
      wire: wires[operation],
      ...(priority === null ? {} : { priority }),
      ...(timeoutMs === null ? {} : { deadlineAt: steadyClock.now() + timeoutMs }),
    },
    answer: new AnswerTensors(request, extraOutputs),
  };
}

/** Parts of a streamed answer do not say which of several answers they belong to. */
function requireOneAnswer({ n, n_cmpl: alsoN }: JsonObject): void {
  for (const [name, value] of Object.entries({ n, n_cmpl: alsoN }))
    if (typeof value === "number" && value > 1) throw invalid(name, `"${name}" must be 1 if the answer is streamed.`);
}

function promptOf(operation: TensorOperation, inputs: readonly Tensor[], isStreamed: boolean): JsonObject {
  for (const [index, { name, datatype }] of inputs.entries()) {
    if (!PROMPTS.includes(name)) continue;
    if (datatype !== "BYTES") throw invalidTensor(name, `is of ${datatype}; expected BYTES`);
    if (inputs.findIndex((each) => PROMPTS.includes(each.name)) !== index)
      throw invalidTensor(name, "is one too many: a request has either text_input or messages, once");
  }
  const messages = inputs.find(({ name }) => name === "messages");
  if (messages !== undefined) return { messages: parsedMessages(messages) };
  const prompt = inputs.find(({ name }) => name === "text_input");
  if (prompt === undefined)
    throw new AssistantError("invalid_request", 'The input tensor "text_input" is missing.', { param: "text_input" });
  const texts = prompt.data as readonly string[];
  const [first] = texts;
  if (first === undefined) throw invalidTensor("text_input", "has no element; expected at least one");
  if (operation === "embedding") return { input: texts };
  if (texts.length > 1 && (isStreamed || operation === "chat"))
    throw invalidTensor(
      "text_input",
      `has ${texts.length} elements; expected one ${isStreamed ? "if the answer is streamed" : "for a model that only supports chats"}`,
    );
  if (operation === "chat") return { messages: [{ role: "user", content: first }] };
  return { prompt: texts.length === 1 ? first : texts };
}

function parsedMessages({ name, data }: Tensor): unknown {
  const [text, ...more] = data;
  if (text === undefined || more.length > 0)
    throw invalidTensor(name, `has ${data.length} elements; expected one, the JSON of all messages`);
  try {
    return JSON.parse(String(text)) as unknown;
  } catch {
    throw invalidTensor(name, "is not JSON; expected a list of messages as in OpenAI's API");
  }
}
