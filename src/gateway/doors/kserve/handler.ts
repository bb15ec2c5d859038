import type { CapabilityQuery } from "../../../core/capability-query.ts";
import type { CallBody, InferenceCall } from "../../../core/inference.ts";
import { answers, type ModelSpec } from "../../../core/model.ts";
import type { DecodedBody } from "../../front/door.ts";

/** Whether a model accepts tensors unchanged. */
export const isHandler = (model: ModelSpec | undefined): boolean => model !== undefined && answers(model, "tensors");

/** A request's selector. */
export interface Target {
  readonly spec: ModelSpec | undefined;
  /** Its name; "": selected by capabilities. */
  readonly model: string;
  readonly capabilities?: CapabilityQuery;
}

/** A call of a handler, whose answer is also passed on unchanged. */
export const handlerCall = (
  { model, capabilities }: Target,
  body: CallBody,
  streamed: boolean,
): Omit<DecodedBody, "translate"> & Pick<InferenceCall, "operation" | "wire"> => ({
  model,
  ...(capabilities === undefined ? {} : { capabilities }),
  body,
  operation: "tensors",
  wire: "kserve.infer",
  prompt: {},
  streamed,
  maxTokens: 0,
});
