import type { AnswerSink } from "../../core/inference.ts";
import { type AnswerFacts, NO_FACTS } from "../../core/upstream.ts";
import { type Receiver, SSE_HEADERS, type Verdict } from "../answer/receivers.ts";

export interface TranslatedAnswer {
  readonly sink: AnswerSink;
  /** Headers, except those of the content. */
  readonly headers: readonly string[];
  /** It consists of complete events; otherwise it is in one piece. */
  readonly streamed: boolean;
  /** What its end reported; null before. */
  facts(): AnswerFacts | null;
}

/** Receives a translated answer into its sink. */
export class TranslatedReceiver implements Receiver {
  readonly #answer: TranslatedAnswer;
  begun = false;

  constructor(answer: TranslatedAnswer) {
    this.#answer = answer;
  }

  body(bytes: Buffer): Verdict {
    const { sink, headers, streamed } = this.#answer;
    this.begun = true;
    if (streamed) {
      sink.head(200, ["Content-Type", "text/event-stream", ...SSE_HEADERS, ...headers]);
      return sink.chunk(bytes) ? "more" : "pause";
    }
    sink.head(200, ["Content-Type", "application/json; charset=utf-8", ...headers], bytes.length);
    sink.end(bytes);
    return "done";
  }
  closed(): void {
    this.#answer.sink.end();
  }
  facts(): AnswerFacts {
    return this.#answer.facts() ?? NO_FACTS;
  }
  betweenEvents(): boolean {
    return this.#answer.streamed;
  }
  dispose(): void {}
}
