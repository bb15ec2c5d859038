import type { AssistantError } from "../../../core/errors.ts";
import type { JsonObject } from "../../../core/inference.ts";
import { RawAnswer } from "../../front/translated-sink.ts";
import { type InferResponse, MODEL_VERSION } from "./answer.ts";
import type { IsBinary } from "./request.ts";
import { binaryOf } from "./tensors.ts";

/** The protocol's errors are a text: the problem and the remedy. */
export const errorText = ({ message, remedy }: Pick<AssistantError, "message" | "remedy">): string =>
  remedy === null ? message : `${message} ${remedy}`;

const head = ({ model, id }: InferResponse): JsonObject => ({
  model_name: model,
  model_version: MODEL_VERSION,
  ...(id === "" ? {} : { id }),
});

/** The response to `infer`: JSON, followed by the tensors that were requested in binary form. */
export function inferJson(response: InferResponse, isBinary: IsBinary): JsonObject | RawAnswer {
  const binary: Buffer[] = [];
  const outputs = response.outputs.map((output) => {
    const { name, datatype, shape, data } = output;
    if (!isBinary(name)) return { name, datatype, shape, data };
    const bytes = binaryOf(output);
    binary.push(bytes);
    return { name, datatype, shape, parameters: { binary_data_size: bytes.length } };
  });
  const json = { ...head(response), outputs };
  if (binary.length === 0) return json;
  const text = Buffer.from(JSON.stringify(json));
  return new RawAnswer(Buffer.concat([text, ...binary]), [
    "Content-Type",
    "application/octet-stream",
    "Inference-Header-Content-Length",
    String(text.length),
  ]);
}

/** The same for `generate`: one field per output, a list if it has several elements. */
export const generateJson = (response: InferResponse): JsonObject => ({
  ...head(response),
  ...Object.fromEntries(response.outputs.map(({ name, data }) => [name, data.length === 1 ? data[0] : data])),
});
