import type { AnswerFacts, Sending } from "../../core/upstream.ts";
import type { AskedModel, Dialect, Fetch, Service } from "./dialect.ts";

/** One call in the provider's words. */
export interface TranslatedCall {
  /** Sends it. The answer as the client gets it, piece by piece; `signal` ends the work at the provider. */
  answer(signal: AbortSignal): AsyncIterable<Buffer>;
  /** What the end of the answer said; null before. */
  facts(): AnswerFacts | null;
}

/** What a call is translated with. */
export interface Translation {
  readonly sending: Sending;
  readonly dialect: Dialect;
  readonly service: Service;
  readonly asked: AskedModel;
  readonly fetch: Fetch;
}
