/** Who a message is from. */
export type Role = "user" | "system" | "bot";

/** One message of a chat, or a piece of an answer. */
export interface ChatRecord {
  readonly role: Role;
  readonly msg: string;
}

/** What a running request offers to those that work on it. */
export interface RequestContext {
  /** Aborted when the client has disconnected or the chat was aborted: stop working. */
  readonly signal: AbortSignal;
}

/** Several, in order, as they come. A text is a record of the bot. */
export type Pieces<T> = Iterable<T> | AsyncIterable<T>;

/** Answers a chat history (`llm` of a layout). Pieces of the role `user` reach no client. */
export interface CompletionInterface {
  complete(history: readonly ChatRecord[], context: RequestContext): Pieces<ChatRecord | string>;
}

type MaybePromise<T> = T | Promise<T>;

/** Changes texts: as an ingress filter the whole history at once, as an egress filter each piece of an answer. */
export interface TextLevelFilteringInterface {
  filter(records: readonly ChatRecord[]): MaybePromise<readonly ChatRecord[]>;
  /** What it held back, at the end of a history or an answer. */
  end?(): MaybePromise<readonly ChatRecord[]>;
  /** For one history or answer, where it remembers something in between. Missing: it does not. */
  session?(): TextLevelFilteringInterface;
}

/** Takes the place of the whole flow (`override-process` of a layout). */
export interface GeneralProcessInterface {
  process(history: readonly ChatRecord[], context: RequestContext): Pieces<string>;
}

/** Passed to the constructor of every class of a layout, after its `args`. */
export interface ClassContext {
  /** Where the daemon's APIs are, without `/v1`, and the key that it asks for. */
  readonly daemonUrl: string;
  readonly apiKey: string | null;
}

export const lastUserText = (history: readonly ChatRecord[]): string =>
  history.findLast(({ role }) => role === "user")?.msg ?? "";

/** `args` of a layout that must be texts. Throws a TypeError that names the argument. */
export function textArg(args: Readonly<Record<string, unknown>>, name: string, fallback?: string): string {
  const value = args[name] ?? fallback;
  if (typeof value === "string") return value;
  throw new TypeError(`"${name}" must be a text; found ${JSON.stringify(value) ?? "nothing"}`);
}

/** The same for numbers from `least` on. */
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
