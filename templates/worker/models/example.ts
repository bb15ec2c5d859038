import type { ChatRecord, RequestContext } from "assistant/worker";

/** A model: `class: models.example.ExampleModel` in layout.yaml uses it. */
export class ExampleModel {
  /** The answer, piece by piece. Stop when `signal` is aborted: the client has disconnected. */
  async *complete(history: readonly ChatRecord[], { signal }: RequestContext): AsyncGenerator<ChatRecord> {
    for (const word of ["You", " said", " ", String(history.length), " messages", "."]) {
      if (signal.aborted) return;
      yield { role: "bot", msg: word };
    }
  }
}
