import { Cancellation } from "../core/cancellation.ts";
import { toAssistantError } from "../core/errors.ts";
import { newRequestId } from "../core/ids.ts";
import type { JsonObject } from "../core/inference.ts";
import type { PipelineSourceSpec, PipelineSpec } from "../core/pipeline.ts";
import { CallerGone } from "../core/upstream.ts";
import { answerOf } from "../inference/collect.ts";
import type { ModelCallsOptions } from "./model-calls.ts";
import { inputCall, pipelineRequestOf } from "./request.ts";
import type { ReadVariable } from "./secrets.ts";
import { openSource } from "./sources/index.ts";
import type { Source } from "./sources/source.ts";

export interface TriggerOptions extends Pick<ModelCallsOptions, "inference"> {
  readonly variable: ReadVariable;
  readonly log: { warn(fields: object, message: string): void };
}

/** Has a pipeline answer what its source brings, as requests of this machine's own user. Closing it cancels those that run. */
export async function openTrigger(
  { name }: PipelineSpec,
  source: PipelineSourceSpec,
  { inference, variable, log }: TriggerOptions,
): Promise<Source> {
  const running = new Set<Cancellation>();
  const unanswered = new WeakSet<object>();
  const answer = async (given: JsonObject): Promise<string> => {
    const request = pipelineRequestOf({ ...given, streamly: false });
    const cancellation = new Cancellation();
    running.add(cancellation);
    try {
      const { body } = await answerOf(inference, {
        ...inputCall(request),
        id: newRequestId(),
        caller: { tenant: "local", models: null },
        route: `source ${source.use}`,
        arrivedAt: performance.now(),
        cancellation,
        selector: { model: name, among: null },
        priority: SOURCE_PRIORITY,
        deadlineAt: null,
        hops: [],
        cachePart: null,
      });
      const { data } = JSON.parse(body.toString()) as { data: readonly { type: string; chunk: unknown }[] };
      return data.flatMap(({ type, chunk }) => (type === "text" ? [String(chunk)] : [])).join("");
    } catch (error) {
      unanswered.add(error as Error);
      throw error;
    } finally {
      running.delete(cancellation);
    }
  };
  const { concurrency } = source;
  /** What is wrong with a message, or with its answer, may quote it: that belongs in no log. */
  const loggable = (error: Error): string => {
    const { code, param } = toAssistantError(error);
    return unanswered.has(error) ? `${code} (${param ?? "-"})` : error.message;
  };
  const trouble = (error: Error): void =>
    log.warn({ pipeline: name, source: source.use, error: loggable(error) }, "a message was not answered");
  const opened = await openSource(source, { answer, variable, concurrency, trouble });
  return {
    async close() {
      for (const cancellation of running) cancellation.cancel(new CallerGone());
      await opened.close();
    },
  };
}

/** As requests have that name none. */
const SOURCE_PRIORITY = 50;
