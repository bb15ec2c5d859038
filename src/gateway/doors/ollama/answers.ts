import type { JsonObject } from "../../../core/inference.ts";
import type { AnswerTranslator } from "../../front/translated-sink.ts";
import { Metrics } from "./metrics.ts";

/** One JSON value per line. */
export const LINES = "application/x-ndjson";

/** An answer of a chat or a completion in OpenAI's format, or one object of its stream. */
interface Answer {
  readonly choices?: readonly Choice[];
}

interface Choice {
  readonly delta?: Said;
  readonly message?: Said;
  readonly text?: string;
  readonly finish_reason?: string | null;
  readonly logprobs?: Logprobs | null;
}

/** For a chat its `content`, which Ollama also has; for a completion the other lists, one entry per token. */
interface Logprobs {
  readonly content?: readonly unknown[] | null;
  readonly tokens?: readonly string[];
  readonly token_logprobs?: readonly (number | null)[];
  readonly top_logprobs?: readonly (Readonly<Record<string, number>> | null)[] | null;
}

interface Said {
  readonly content?: string | null;
  readonly reasoning_content?: string | null;
  readonly tool_calls?: readonly CallPart[];
}

interface CallPart {
  readonly index?: number;
  readonly id?: string;
  readonly function?: { readonly name?: string; readonly arguments?: string };
}

interface Call {
  id: string;
  name: string;
  arguments: string;
}

/** The new parts in one object of an answer. */
interface Piece {
  readonly content: string;
  readonly thinking: string;
  readonly calls: readonly JsonObject[];
}

/** How one route of this API formats an answer. */
type Shape = (piece: Piece) => JsonObject;

/** `/api/chat`. */
export const chatShape: Shape = ({ content, thinking, calls }) => ({
  message: {
    role: "assistant",
    content,
    ...(thinking === "" ? {} : { thinking }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  },
});

/** `/api/generate`. */
export const generateShape: Shape = ({ content, thinking }) => ({
  response: content,
  ...(thinking === "" ? {} : { thinking }),
});

/** The beginning of every object. */
export const opening = (model: string): JsonObject => ({ model, created_at: new Date().toISOString() });

const NOTHING: Piece = { content: "", thinking: "", calls: [] };

/** Ollama has these two finish reasons, and clients take any other for one. */
const reasonOf = (finish: string | null): string => (finish === "length" ? "length" : "stop");

/** Writes one answer of a chat or a completion in Ollama's format. `model`: the client's name of it. */
export class TextAnswer implements AnswerTranslator {
  readonly streamType = LINES;
  readonly #model: string;
  readonly #shape: Shape;
  readonly #metrics = new Metrics();
  readonly #calls = new Map<number, Call>();
  #finish: string | null = null;

  constructor(model: string, shape: Shape) {
    this.#model = model;
    this.#shape = shape;
  }

  head(headers: readonly string[]): void {
    this.#metrics.head(headers);
  }

  chunk(chunk: JsonObject): string {
    const choice = (chunk as Answer).choices?.[0];
    const said = choice?.delta ?? {};
    for (const part of said.tool_calls ?? []) this.#addCall(part);
    const piece: Piece = {
      content: said.content ?? choice?.text ?? "",
      thinking: said.reasoning_content ?? "",
      // Complete once nothing more arrives: a call is sent in one piece.
      calls: choice?.finish_reason ? this.#takeCalls() : [],
    };
    const isEmpty = piece.content === "" && piece.thinking === "" && piece.calls.length === 0;
    this.#metrics.add(chunk, !isEmpty || said.tool_calls !== undefined);
    if (choice?.finish_reason) this.#finish = choice.finish_reason;
    const logprobs = logprobsOf(choice?.logprobs ?? null);
    if (isEmpty && logprobs.length === 0) return "";
    return this.#line({ ...this.#shape(piece), done: false, ...(logprobs.length === 0 ? {} : { logprobs }) });
  }

  end(): string {
    return this.#line({ ...this.#shape(NOTHING), ...this.#ending() });
  }

  whole(answer: JsonObject): JsonObject {
    const choice = (answer as Answer).choices?.[0];
    const { content, reasoning_content: thinking, tool_calls: calls = [] } = choice?.message ?? {};
    for (const [index, call] of calls.entries()) this.#addCall({ ...call, index });
    this.#metrics.add(answer, false);
    this.#finish = choice?.finish_reason ?? null;
    const logprobs = logprobsOf(choice?.logprobs ?? null);
    const piece = { content: content ?? choice?.text ?? "", thinking: thinking ?? "", calls: this.#takeCalls() };
    return {
      ...opening(this.#model),
      ...this.#shape(piece),
      ...this.#ending(),
      ...(logprobs.length === 0 ? {} : { logprobs }),
    };
  }

  #ending(): JsonObject {
    return { done: true, done_reason: reasonOf(this.#finish), ...this.#metrics.fields };
  }

  #line(fields: JsonObject): string {
    return `${JSON.stringify({ ...opening(this.#model), ...fields })}\n`;
  }

  #addCall({ index = 0, id, function: called }: CallPart): void {
    const call = this.#calls.get(index) ?? { id: "", name: "", arguments: "" };
    this.#calls.set(index, call);
    if (id) call.id = id;
    call.name += called?.name ?? "";
    call.arguments += called?.arguments ?? "";
  }

  /** Calls with complete arguments: one that was cut off by the token limit is of no use. */
  #takeCalls(): JsonObject[] {
    const calls = [...this.#calls].sort(([a], [b]) => a - b);
    this.#calls.clear();
    return calls.flatMap(([index, { id, name, arguments: written }]) => {
      const given = argumentsOf(written);
      if (given === null) return [];
      return { ...(id === "" ? {} : { id }), function: { index, name, arguments: given } };
    });
  }
}

function logprobsOf(logprobs: Logprobs | null): readonly unknown[] {
  const { content, tokens = [], token_logprobs: values, top_logprobs: others } = logprobs ?? {};
  const entry = (token: string, logprob: number | null): object => ({ token, logprob, bytes: [...Buffer.from(token)] });
  const listed = tokens.map((token, index) => {
    const top = Object.entries(others?.[index] ?? {}).map(([other, logprob]) => entry(other, logprob));
    return { ...entry(token, values?.[index] ?? null), ...(top.length === 0 ? {} : { top_logprobs: top }) };
  });
  return content ?? listed;
}

function argumentsOf(written: string): unknown {
  if (written === "") return {};
  try {
    return JSON.parse(written);
  } catch {
    return null;
  }
}
