import type { AssistantError } from "../../../../core/errors.ts";
import { presentable } from "../../../../core/errors.ts";
import { newRequestId } from "../../../../core/ids.ts";
import type { AnswerSink, Caller, InferenceCall, JsonObject } from "../../../../core/inference.ts";
import { CallerGone } from "../../../../core/upstream.ts";
import { answerOf } from "../../../../inference/collect.ts";
import type { InferenceCore } from "../../../../inference/core.ts";
import type { Job, JobRun } from "../../../../tasks/jobs.ts";
import type { TaskResult } from "../../../../tasks/record.ts";
import { translatedSink } from "../../../front/translated-sink.ts";
import type { ResponseAnswer } from "./answer.ts";
import { type KeepingPorts, kept } from "./keeping.ts";
import { chatOf, newAnswer } from "./plan.ts";
import type { ResponseRequest } from "./request.ts";
import { modelIn } from "./sink.ts";
import { isPending, type Responses, type StoredResponse } from "./stored.ts";
import { runFitting } from "./truncation.ts";

export const RESPONSE_JOB = "response";

/** The part of a request that is stored for a background response. */
interface Ordered extends Pick<InferenceCall, "selector" | "priority" | "hops" | "cachePart" | "route"> {
  readonly request: ResponseRequest;
  /** Epoch seconds. */
  readonly createdAt: number;
}

/**
 * Accepts a background response: it is durable when this resolves, and not stored when this rejects. `model`: whose
 * queue it waits in.
 */
export async function accept(
  responses: Responses,
  request: ResponseRequest,
  { caller, selector, priority, hops, cachePart, route }: InferenceCall,
  model: string,
): Promise<ResponseAnswer> {
  const createdAt = Math.floor(Date.now() / 1000);
  const live = request.streamed ? responses.live(request.id) : null;
  const answer = newAnswer(request, selector.model, createdAt, (event) => live?.push(event));
  answer.created();
  const ordered: Ordered = { request, selector, priority, hops, cachePart, route, createdAt };
  try {
    await responses.keep(caller.tenant, request, answer, live?.events ?? null);
    // Not retried: a reader may have seen the beginning of its stream.
    await responses.queue?.enqueue(
      {
        ...{ id: request.id, kind: RESPONSE_JOB, model, priority, maxAttempts: 1 },
        request: ordered as unknown as JsonObject,
      },
      caller,
    );
  } catch (error) {
    live?.end();
    await responses.withdraw(request.id).catch(() => {});
    throw error;
  }
  return answer;
}

export interface BackgroundOptions extends KeepingPorts {
  readonly responses: Responses;
  readonly inference: InferenceCore;
  /** Throws if the tenant no longer has permission. */
  readonly callerOf: (tenant: string) => Caller;
}

/** Generates background responses, as tasks. A response that a daemon did not finish is generated again by the next. */
export class Background implements Job {
  readonly #options: BackgroundOptions;

  constructor(options: BackgroundOptions) {
    this.#options = options;
  }

  async run({ id, tenant, request: given, cancellation, stopping }: JobRun): Promise<TaskResult> {
    const { responses, inference, callerOf } = this.#options;
    const { request, createdAt, ...ordered } = given as unknown as Ordered;
    const stored = await responses.find(tenant, id);
    if (stored === null || !isPending(stored)) return resultOf(stored);
    const live = responses.live(id);
    const answer = newAnswer(request, ordered.selector.model, createdAt, (event) => live.push(event));
    live.begin(tenant, answer);
    answer.created();
    const keep = (): Promise<void> =>
      kept(this.#options, tenant, request, answer, request.streamed ? live.events : null);
    try {
      const call: InferenceCall = {
        ...{ ...ordered, ...chatOf(request), operation: "chat", wire: "openai.chat" },
        ...{ id: newRequestId(), clientId: id, caller: callerOf(tenant), arrivedAt: performance.now() },
        ...{ cancellation, deadlineAt: null },
      };
      const core = {
        run: (one: InferenceCall, sink: AnswerSink) => runFitting(inference, one, request, answeringSink(sink, answer)),
      };
      await answerOf(core, call);
      await keep();
      return resultOf({ response: answer.response, input: [], previousId: null, events: null });
    } catch (thrown) {
      // The next daemon generates it.
      if (stopping.aborted && !(thrown instanceof CallerGone)) throw thrown;
      const error: AssistantError | null = thrown instanceof CallerGone ? null : presentable(thrown);
      if (error === null) answer.cancel();
      else if (!answer.hasEnded) answer.fail(error);
      await keep();
      throw thrown;
    } finally {
      live.end();
    }
  }
}

/** Builds the response from an answer in OpenAI's chat format. */
const answeringSink = (client: AnswerSink, answer: ResponseAnswer): AnswerSink => {
  let hasBegun = false;
  return translatedSink(client, true, {
    streamType: "text/event-stream",
    head(headers) {
      // Another target may have started before, and failed.
      if (!hasBegun) answer.begin(modelIn(headers));
      hasBegun = true;
    },
    chunk(chunk) {
      answer.chunk(chunk);
      return "";
    },
    end() {
      answer.finish();
      return "";
    },
    whole: (whole) => whole,
  });
};

function resultOf(stored: StoredResponse | null): TaskResult {
  const {
    output = [],
    usage,
    status,
    model,
  } = (stored?.response ?? {}) as {
    readonly output?: readonly { readonly content?: readonly { readonly text?: string }[] }[];
    readonly usage?: { readonly input_tokens: number; readonly output_tokens: number };
    readonly status?: string;
    readonly model?: string;
  };
  return {
    text: output.flatMap(({ content = [] }) => content.map(({ text = "" }) => text)).join(""),
    finishReason: status === "incomplete" ? "length" : "stop",
    usage: { promptTokens: usage?.input_tokens ?? null, completionTokens: usage?.output_tokens ?? null },
    model: model ?? "",
    reasoning: null,
  };
}
