import type { AnswerFacts, Sending } from "../../core/upstream.ts";
import type { AskedModel, Dialect, Fetch, Service } from "./dialect.ts";

/** One call in the provider's format. */
export interface TranslatedCall {
  /** Sends it. Yields the client's answer piece by piece; `signal` ends the work at the provider. */
  answer(signal: AbortSignal): AsyncIterable<Buffer>;
  /** What the end of the answer reported; null before. */
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
