import type { Cancellation } from "../core/cancellation.ts";
import { newRequestId } from "../core/ids.ts";
import type { Caller, InferenceCall, JsonObject } from "../core/inference.ts";
import { answerOf } from "../inference/collect.ts";
import type { InferenceCore } from "../inference/core.ts";
import { inputCall, pipelineRequestOf } from "./request.ts";

type CallHeaders = Pick<InferenceCall, "priority" | "deadlineAt" | "hops" | "cachePart">;

/** A request that code in this process has a pipeline answer. */
export interface PipelineAsk extends Partial<CallHeaders> {
  /** Of the pipeline. */
  readonly name: string;
  /** As the body of `/input`. */
  readonly request: JsonObject;
  readonly caller: Caller;
  /** What the request log calls it. */
  readonly route: string;
  readonly cancellation: Cancellation;
}

export interface AnsweredFrame {
  readonly type: string;
  readonly chunk: unknown;
}

/** As requests have that name none. */
const PRIORITY = 50;

/** All frames of an answer: the text in one, the audio in one. Rejects with the reason if there is none. */
export async function askPipeline(
  core: Pick<InferenceCore, "run">,
  { name, request, ...origin }: PipelineAsk,
): Promise<readonly AnsweredFrame[]> {
  const { body } = await answerOf(core, {
    ...{ priority: PRIORITY, deadlineAt: null, hops: [], cachePart: null },
    ...inputCall(pipelineRequestOf({ ...request, streamly: false })),
    ...origin,
    id: newRequestId(),
    arrivedAt: performance.now(),
    selector: { model: name, among: null },
  });
  return (JSON.parse(body.toString()) as { readonly data: readonly AnsweredFrame[] }).data;
}
