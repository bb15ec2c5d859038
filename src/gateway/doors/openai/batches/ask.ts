import { randomBytes } from "node:crypto";
import type { Cancellation } from "../../../../core/cancellation.ts";
import { type AssistantError, presentable } from "../../../../core/errors.ts";
import { newRequestId } from "../../../../core/ids.ts";
import type { InferenceCall } from "../../../../core/inference.ts";
import { CallerGone } from "../../../../core/upstream.ts";
import { answerOf } from "../../../../inference/collect.ts";
import type { InferenceCore } from "../../../../inference/core.ts";
import type { Identity } from "../../../front/authorize.ts";
import type { InferenceRoute } from "../../../front/door.ts";
import { errorBody } from "../../../front/error-body.ts";
import { parseTarget } from "../../../front/target.ts";
import type { BatchRequest } from "./input.ts";
import type { LineResult } from "./record.ts";

/** Below every request whose client is waiting. */
const PRIORITY = 0;

export interface Asking {
  readonly inference: InferenceCore;
  readonly route: InferenceRoute;
  readonly identity: Identity;
  readonly cancellation: Cancellation;
  readonly deadlineAt: number;
}

export type Answered = Pick<LineResult, "isFailed" | "json"> & {
  /** Why there is no answer; null: there is one. */
  readonly error: AssistantError | null;
};

/** Gets the answer to one request, through the same route as a direct one. Only rejects with `CallerGone`. */
export async function ask({ customId, body }: BatchRequest, asking: Asking): Promise<Answered> {
  const id = newRequestId();
  const line = (status: number, answer: unknown): string =>
    `${JSON.stringify({
      id: `batch_req_${randomBytes(16).toString("hex")}`,
      custom_id: customId,
      response: { status_code: status, request_id: id, body: answer },
      error: null,
    })}\n`;
  try {
    const answer = await answered(id, Buffer.from(JSON.stringify(body)), asking);
    return { isFailed: false, error: null, json: line(200, JSON.parse(answer.toString())) };
  } catch (thrown) {
    if (thrown instanceof CallerGone) throw thrown;
    const error = presentable(thrown);
    return { isFailed: true, error, json: line(error.status, errorBody(error, id)) };
  }
}

async function answered(
  id: string,
  bytes: Buffer,
  { inference, route, identity, cancellation, deadlineAt }: Asking,
): Promise<Buffer> {
  const {
    model,
    translate,
    answer,
    priority: _,
    ...decoded
  } = await route.decode(bytes, {}, parseTarget(route.path), identity.caller);
  const call: InferenceCall = {
    ...{ id, cancellation, route: route.name, operation: route.operation, wire: route.wire },
    ...decoded,
    caller: identity.caller,
    arrivedAt: performance.now(),
    selector: { model, among: null },
    ...{ priority: PRIORITY, deadlineAt, hops: [], cachePart: null },
  };
  const core: Pick<InferenceCore, "run"> = {
    run: (given, sink) =>
      answer === undefined ? inference.run(given, translate?.(sink) ?? sink) : answer(given, sink, identity),
  };
  return (await answerOf(core, call)).body;
}

/** For a request that was not started before the batch's window ended. */
export const expiredLine = ({ customId }: BatchRequest): string =>
  `${JSON.stringify({
    id: `batch_req_${randomBytes(16).toString("hex")}`,
    custom_id: customId,
    response: null,
    error: {
      code: "batch_expired",
      message: "This request could not be executed before the completion window expired.",
    },
  })}\n`;
