import { answers, type ModelSpec, type Operation } from "../../../core/model.ts";
import type { Datatype } from "./tensors.ts";

/** A tensor as listed in a model's metadata; -1: a dimension of any size. */
export interface TensorMetadata {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
}

/** The operations of this protocol. */
export type TensorOperation = Extract<Operation, "chat" | "completion" | "embedding">;

const tensor = (name: string, datatype: Datatype, ...shape: readonly number[]): TensorMetadata => ({
  name,
  datatype,
  shape,
});

const TEXT = tensor("text_input", "BYTES", -1);
const MESSAGES = tensor("messages", "BYTES", 1);
const INPUT_TOKENS = tensor("num_input_tokens", "UINT32", 1);

/** Inputs that control the answer. Parameters with the same names do the same. */
const SETTINGS: readonly TensorMetadata[] = [
  tensor("sampling_parameters", "BYTES", 1),
  tensor("stream", "BOOL", 1),
  tensor("exclude_input_in_output", "BOOL", 1),
  tensor("return_finish_reason", "BOOL", 1),
  tensor("return_num_input_tokens", "BOOL", 1),
  tensor("return_num_output_tokens", "BOOL", 1),
  tensor("max_tokens", "INT32", 1),
  tensor("temperature", "FP32", 1),
  tensor("top_p", "FP32", 1),
  tensor("top_k", "INT32", 1),
  tensor("min_p", "FP32", 1),
  tensor("seed", "INT64", 1),
  tensor("stop", "BYTES", -1),
  tensor("presence_penalty", "FP32", 1),
  tensor("frequency_penalty", "FP32", 1),
  tensor("repeat_penalty", "FP32", 1),
];

export interface ModelTensors {
  readonly inputs: readonly TensorMetadata[];
  readonly outputs: readonly TensorMetadata[];
}

const GENERATING: ModelTensors = {
  inputs: [TEXT, MESSAGES, ...SETTINGS],
  outputs: [
    tensor("text_output", "BYTES", -1),
    tensor("finish_reason", "BYTES", -1),
    tensor("tool_calls", "BYTES", -1),
    INPUT_TOKENS,
    tensor("num_output_tokens", "UINT32", 1),
  ],
};
const EMBEDDING: ModelTensors = { inputs: [TEXT], outputs: [tensor("embedding", "FP32", -1, -1), INPUT_TOKENS] };
const NONE: ModelTensors = { inputs: [], outputs: [] };

type Answering = Pick<ModelSpec, "kind" | "operations">;

/** A model's inputs and outputs. Models other than text models have no tensors here. */
export const tensorsOf = (model: Answering): ModelTensors =>
  answers(model, "embedding") ? EMBEDDING : answers(model, "chat") || answers(model, "completion") ? GENERATING : NONE;

/** How a model uses text: it continues it, if it can. */
export const operationFor = (model: Answering, isChat: boolean): TensorOperation =>
  answers(model, "embedding") ? "embedding" : isChat || !answers(model, "completion") ? "chat" : "completion";
