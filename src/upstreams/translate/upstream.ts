import { AssistantError, presentable } from "../../core/errors.ts";
import type { AnswerSink } from "../../core/inference.ts";
import type { TraceHeaders } from "../../core/trace.ts";
import { type AnswerFacts, SendFailure, type Sending, type Upstream } from "../../core/upstream.ts";
import { type AnswerSource, type Delivery, deliver } from "../answer/delivery.ts";
import type { ConnectorContext } from "../connector.ts";
import { retryOf } from "../http/failure.ts";
import type { TranslatedCall } from "./call.ts";
import { chatCall } from "./chat.ts";
import { countCall } from "./count.ts";
import type { AskedModel, Dialect, Fetch, Service } from "./dialect.ts";
import { embeddingCall } from "./embeddings.ts";
import { failureOf } from "./failure.ts";
import { TranslatedReceiver } from "./receiver.ts";
import { guardedFetch } from "./transport.ts";

/** A provider with an API other than OpenAI's: calls are translated into it once, and answers back. */
export class TranslatingUpstream implements Upstream {
  readonly #dialect: Dialect;
  readonly #context: ConnectorContext;
  #service: Promise<Service> | null = null;

  constructor(dialect: Dialect, context: ConnectorContext) {
    this.#dialect = dialect;
    this.#context = context;
  }

  async send(sending: Sending, sink: AnswerSink): Promise<AnswerFacts> {
    const asked = this.#askedOf(sending);
    let call: TranslatedCall;
    try {
      call = await this.#translate(sending, asked);
    } catch (error) {
      throw new SendFailure(presentable(failureOf(error, asked)), "never");
    }
    const { headers } = sending;
    const { streamed } = sending.call;
    const receiver = new TranslatedReceiver({ sink, headers, streamed, facts: () => call.facts() });
    return deliver({
      sending,
      sink,
      retryAfter: retryOf,
      open: (delivery) => pump(call, delivery, receiver, (error) => failureOf(error, asked)),
    });
  }

  #askedOf({ model, call: { operation } }: Sending): AskedModel {
    const { provider, modelName } = this.#context;
    return { provider, model: model.name, providerModel: modelName(model), operation };
  }

  async #translate(sending: Sending, asked: AskedModel): Promise<TranslatedCall> {
    const { wire } = sending.call;
    if (wire !== "openai.chat" && wire !== "openai.embedding" && wire !== "llamacpp.tokens")
      throw new AssistantError(
        "wrong_model_kind",
        `The provider "${asked.provider.name}" of "${asked.model}" does not support the operation "${asked.operation}".`,
        { remedy: "Ask for a chat, with /v1/chat/completions." },
      );
    const dialect = this.#dialect;
    this.#service ??= dialect.load(this.#context);
    const sender = traced(this.#context.client.fetch, sending.trace);
    const expected = wire === "openai.chat" ? "an event stream" : "JSON";
    const fetch = guardedFetch(sender, dialect, asked, expected, sending.call.streamed);
    const translation = { sending, dialect, service: await this.#service, asked, fetch };
    if (wire === "llamacpp.tokens") return countCall(translation);
    return wire === "openai.chat" ? chatCall(translation) : embeddingCall(translation);
  }
}

/** The same fetch, with trace headers in its requests. */
const traced = (fetch: Fetch, trace: TraceHeaders | undefined): Fetch =>
  trace === undefined
    ? fetch
    : (input, init) =>
        fetch(input, { ...init, headers: { ...Object.fromEntries(new Headers(init?.headers)), ...trace } });

/** Passes an answer to its delivery, no faster than it is consumed. */
function pump(
  call: TranslatedCall,
  delivery: Delivery,
  receiver: TranslatedReceiver,
  meaningOf: (error: unknown) => unknown,
): AnswerSource {
  const end = new AbortController();
  let drained = Promise.withResolvers<void>();
  const run = async (): Promise<void> => {
    delivery.head(() => receiver);
    for await (const bytes of call.answer(end.signal)) {
      drained = Promise.withResolvers();
      if (!delivery.body(bytes)) await drained.promise;
      if (end.signal.aborted) return;
    }
    delivery.closed();
  };
  run().catch((error: unknown) => delivery.fail(meaningOf(error)));
  return {
    resume: () => drained.resolve(),
    close: () => {
      end.abort();
      drained.resolve();
    },
  };
}
