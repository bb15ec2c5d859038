import { Cancellation } from "../core/cancellation.ts";
import { toAssistantError } from "../core/errors.ts";
import type { JsonObject } from "../core/inference.ts";
import type { PipelineSourceSpec, PipelineSpec } from "../core/pipeline.ts";
import { CallerGone } from "../core/upstream.ts";
import { askPipeline } from "./ask.ts";
import type { ModelCallsOptions } from "./model-calls.ts";
import type { ReadVariable } from "./secrets.ts";
import { openSource } from "./sources/index.ts";
import type { Source } from "./sources/source.ts";

export interface TriggerOptions extends Pick<ModelCallsOptions, "inference"> {
  readonly variable: ReadVariable;
  readonly log: { warn(fields: object, message: string): void };
}

const MAX_LOGGED = 10;

/**
 * Has a pipeline answer what its source brings, as requests of this machine's own user. Closing it cancels those that
 * run.
 */
export async function openTrigger(
  { name }: PipelineSpec,
  source: PipelineSourceSpec,
  { inference, variable, log }: TriggerOptions,
): Promise<Source> {
  const running = new Set<Cancellation>();
  const unanswered = new WeakSet<object>();
  const answer = async (given: JsonObject): Promise<string> => {
    const cancellation = new Cancellation();
    running.add(cancellation);
    logged.clear();
    try {
      const frames = await askPipeline(inference, {
        ...{ name, request: given, cancellation },
        caller: { tenant: "local", models: null },
        route: `source ${source.use}`,
      });
      return frames.flatMap(({ type, chunk }) => (type === "text" ? [String(chunk)] : [])).join("");
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
  /** Problems of the source itself, which is retried until it works, since its last message. */
  const logged = new Set<string>();
  const trouble = (error: Error): void => {
    const text = loggable(error);
    const isOfMessage = unanswered.has(error);
    if (!isOfMessage && (logged.has(text) || logged.size === MAX_LOGGED)) return;
    if (!isOfMessage) logged.add(text);
    log.warn(
      { pipeline: name, source: source.use, error: text },
      isOfMessage
        ? "a message was not answered"
        : "the source of the pipeline cannot be used; retrying (check `[source]` of its file)",
    );
  };
  const opened = await openSource(source, { answer, variable, concurrency, trouble });
  return {
    async close() {
      for (const cancellation of running) cancellation.cancel(new CallerGone());
      await opened.close();
    },
  };
}
