/** Author of a message. */
export type Role = "user" | "system" | "bot";

/** One message of a chat, or a piece of an answer. */
export interface ChatRecord {
  readonly role: Role;
  readonly msg: string;
}

/** Context of a running request. */
export interface RequestContext {
  /** Aborted when the client has disconnected or the chat was aborted: stop working. */
  readonly signal: AbortSignal;
}

/** Pieces of an answer, in order. A string is a record of the bot. */
export type Pieces<T> = Iterable<T> | AsyncIterable<T>;

/** Answers a chat history (`llm` of a layout). Pieces with the role `user` are not sent to the client. */
export interface CompletionInterface {
  complete(history: readonly ChatRecord[], context: RequestContext): Pieces<ChatRecord | string>;
}

type MaybePromise<T> = T | Promise<T>;

/** Transforms text: an ingress filter gets the whole history at once, an egress filter each piece of an answer. */
export interface TextLevelFilteringInterface {
  filter(records: readonly ChatRecord[]): MaybePromise<readonly ChatRecord[]>;
  /** Buffered text, at the end of a history or an answer. */
  end?(): MaybePromise<readonly ChatRecord[]>;
  /** A filter for a single history or answer, if the filter keeps state between pieces. Missing: the filter itself. */
  session?(): TextLevelFilteringInterface;
}

/** Replaces the whole flow (`override-process` of a layout). */
export interface GeneralProcessInterface {
  process(history: readonly ChatRecord[], context: RequestContext): Pieces<string>;
}

/** Passed to the constructor of every class of a layout, after its `args`. */
export interface ClassContext {
  /** URL of the daemon without `/v1`, and the API key to use; null: none. */
  readonly daemonUrl: string;
  readonly apiKey: string | null;
}

export const lastUserText = (history: readonly ChatRecord[]): string =>
  history.findLast(({ role }) => role === "user")?.msg ?? "";

/** A string in a layout's `args`. Throws a TypeError that names the argument. */
export function textArg(args: Readonly<Record<string, unknown>>, name: string, fallback?: string): string {
  const value = args[name] ?? fallback;
  if (typeof value === "string") return value;
  throw new TypeError(`"${name}" must be a text; found ${JSON.stringify(value) ?? "nothing"}`);
}

/** The same for a number of at least `least`. */
export function numberArg(
  args: Readonly<Record<string, unknown>>,
  name: string,
  fallback: number,
  least: number,
): number {
  const value = args[name] ?? fallback;
  if (typeof value === "number" && value >= least) return value;
  throw new TypeError(`"${name}" must be a number from ${least} on; found ${JSON.stringify(value)}`);
}
