import { AssistantError } from "../core/errors.ts";
import type { AnswerSink, InferenceCall, JsonObject } from "../core/inference.ts";
import { type AnswerFacts, CallerGone, NO_FACTS, type Sending, type Upstream } from "../core/upstream.ts";
import { type AnswerSource, type Delivery, deliver } from "../upstreams/answer/delivery.ts";
import { type Receiver, SSE_HEADERS, type Verdict } from "../upstreams/answer/receivers.ts";
import { type Entry, entryOf } from "./entry.ts";
import { memoryOf, type PipelineConversations } from "./memory.ts";
import { ModelCalls, type ModelCallsOptions } from "./model-calls.ts";
import { runStages } from "./run.ts";
import type { NamedStage, StageMemory } from "./stage.ts";
import { type AnswerWriter, chatWriter, EVENTS, frameEvents, frameObject, speechWriter } from "./writers.ts";

export interface PipelineUpstreamOptions extends Pick<ModelCallsOptions, "inference" | "decode" | "hop"> {
  readonly name: string;
  readonly stages: readonly NamedStage[];
  readonly queueLength: number;
  readonly conversations: PipelineConversations;
}

/** The way to a pipeline: runs its stages for each call, and writes what they make in the format of the call. */
export class PipelineUpstream implements Upstream {
  readonly #options: PipelineUpstreamOptions;
  #running = 0;
  #idle: PromiseWithResolvers<void> | null = null;

  constructor(options: PipelineUpstreamOptions) {
    this.#options = options;
  }

  send(sending: Sending, sink: AnswerSink): Promise<AnswerFacts> {
    return deliver({
      sending,
      sink,
      // Stages may have acted already.
      retryAfter: () => "never",
      open: (delivery) => this.#open(sending, sink, delivery),
    });
  }

  /** Resolves when no stage works for a request any longer. */
  idle(): Promise<void> {
    if (this.#running === 0) return Promise.resolve();
    this.#idle ??= Promise.withResolvers();
    return this.#idle.promise;
  }

  #ended(): void {
    this.#running -= 1;
    if (this.#running > 0) return;
    this.#idle?.resolve();
    this.#idle = null;
  }

  #open({ call, headers }: Sending, sink: AnswerSink, delivery: Delivery): AnswerSource {
    const { stages } = this.#options;
    const entry = entryOf(call, stages, this.#options.decode);
    const writer = this.#writerFor(call);
    const ending = new AbortController();
    let drained: PromiseWithResolvers<void> | null = null;
    const write = (bytes: Buffer | null): Promise<void> | undefined => {
      if (bytes === null || delivery.body(bytes)) return undefined;
      drained ??= Promise.withResolvers();
      return drained.promise;
    };
    const models = new ModelCalls({ ...this.#options, call, signal: ending.signal });
    const asking = stages.slice(entry.index).findIndex(({ asksModel }) => asksModel === true);
    const memory = this.#memoryFor(entry, call, ending.signal);
    const run = async (): Promise<void> => {
      delivery.head(() => new PipelineReceiver(sink, headers, writer, call.streamed));
      await runStages({
        stages: stages.slice(entry.index),
        input: entry.input,
        queueLength: this.#options.queueLength,
        ending,
        context: ({ section }, index) => ({
          requestId: call.id,
          user: entry.user,
          request: entry.request,
          options: optionsIn(entry.request, section),
          messages: index === 0 ? entry.messages : null,
          generation: index === asking ? entry.generation : {},
          memory: index === asking ? memory : null,
          signal: ending.signal,
          models,
        }),
        client: (part) => write(writer.part(part)),
      });
      const last = writer.end();
      if (last.length > 0) await write(last);
      delivery.closed();
    };
    // A stage that ignores being stopped delays nothing else.
    ending.signal.addEventListener("abort", () => delivery.fail(ending.signal.reason), { once: true });
    this.#running += 1;
    void run()
      .catch((error: unknown) => delivery.fail(error))
      .finally(() => this.#ended());
    return {
      resume: () => {
        drained?.resolve();
        drained = null;
      },
      close: () => {
        ending.abort(new CallerGone());
        drained?.resolve();
      },
    };
  }

  /** Of a service that keeps conversations itself the id is none of ours. */
  #memoryFor({ request }: Entry, call: InferenceCall, signal: AbortSignal): StageMemory | null {
    const { stages, conversations } = this.#options;
    const id = request["conversation_id"];
    const isOurs = typeof id === "string" && id !== "" && !stages.some((stage) => stage.conversations !== undefined);
    return isOurs ? memoryOf(conversations, id, call, signal) : null;
  }

  #writerFor(call: InferenceCall): AnswerWriter {
    switch (call.wire) {
      case "pipeline.input":
        return call.streamed ? frameEvents() : frameObject();
      case "openai.chat":
        return chatWriter(call, this.#options.name);
      case "openai.speech":
        return speechWriter(call);
      default:
        throw new AssistantError(
          "wrong_model_kind",
          `The pipeline "${this.#options.name}" does not support the format ${call.wire}.`,
          { param: "model", remedy: "Ask for a chat, for speech, or by /pipelines/NAME/input." },
        );
    }
  }
}

/** The object of a request for a stage. */
function optionsIn(request: JsonObject, section: string): JsonObject {
  const found = request[section];
  return typeof found === "object" && found !== null && !Array.isArray(found) ? (found as JsonObject) : {};
}

/** Takes what a pipeline writes into the sink. */
class PipelineReceiver implements Receiver {
  readonly #sink: AnswerSink;
  readonly #headers: readonly string[];
  readonly #streamed: boolean;
  begun = false;

  constructor(sink: AnswerSink, headers: readonly string[], writer: AnswerWriter, streamed: boolean) {
    this.#sink = sink;
    this.#streamed = streamed;
    this.#headers = [
      "Content-Type",
      writer.contentType,
      ...(writer.contentType === EVENTS ? SSE_HEADERS : []),
      ...headers,
    ];
  }

  body(bytes: Buffer): Verdict {
    this.begun = true;
    this.#sink.head(200, this.#headers);
    return this.#sink.chunk(bytes) ? "more" : "pause";
  }
  closed(): void {
    this.#sink.head(200, this.#headers);
    this.#sink.end();
  }
  facts(): AnswerFacts {
    return { ...NO_FACTS, finishReason: "stop" };
  }
  betweenEvents(): boolean {
    return this.#streamed;
  }
  dispose(): void {}
}
