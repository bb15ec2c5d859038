/** The parts of a stream's chunks from which an answer in one piece is built. */
interface Chunk {
  readonly id?: unknown;
  readonly created?: unknown;
  readonly model?: unknown;
  readonly system_fingerprint?: unknown;
  readonly choices?: readonly ChunkChoice[];
  readonly usage?: unknown;
  readonly timings?: unknown;
  /** Included by llama.cpp's engines for `verbose`. */
  readonly __verbose?: unknown;
}

interface ChunkChoice {
  readonly index?: number;
  readonly text?: string;
  readonly delta?: Delta;
  readonly logprobs?: Logprobs | null;
  readonly finish_reason?: string | null;
}

interface Delta {
  readonly role?: string;
  readonly content?: string | null;
  readonly reasoning_content?: string | null;
  readonly tool_calls?: readonly ToolCallDelta[];
}

interface ToolCallDelta {
  readonly index?: number;
  readonly id?: string;
  readonly type?: string;
  readonly function?: { readonly name?: string; readonly arguments?: string };
  /** Some providers include this, and require it back with the call. */
  readonly extra_content?: unknown;
}

type Logprobs = Readonly<Record<string, unknown>>;

interface Choice {
  text: string;
  content: string | null;
  reasoning: string | null;
  role: string;
  readonly toolCalls: Map<number, ToolCall>;
  logprobs: Record<string, unknown> | null;
  finishReason: string | null;
}

interface ToolCall {
  id: string;
  type: string;
  name: string;
  arguments: string;
  extra: unknown;
}

/** Builds, from the chunks of a streamed answer, the answer the engine would have given in one piece. */
export class Aggregate {
  readonly #object: "chat.completion" | "text_completion";
  readonly #choices = new Map<number, Choice>();
  #common: Record<string, unknown> = {};
  #usage: unknown;
  #timings: unknown;
  #verbose: unknown;

  constructor(operation: "chat" | "completion") {
    this.#object = operation === "chat" ? "chat.completion" : "text_completion";
  }

  add(chunk: Chunk): void {
    const { id, created, model, system_fingerprint: fingerprint } = chunk;
    this.#common = { id, created, model, ...(fingerprint === undefined ? {} : { system_fingerprint: fingerprint }) };
    if (chunk.usage) this.#usage = chunk.usage;
    if (chunk.timings) this.#timings = chunk.timings;
    if (chunk.__verbose) this.#verbose = chunk.__verbose;
    for (const part of chunk.choices ?? []) merge(this.#choice(part.index ?? 0), part);
  }

  /** The whole answer; null while no choice has been seen. */
  result(): Record<string, unknown> | null {
    if (this.#choices.size === 0) return null;
    const entries = [...this.#choices].sort(([a], [b]) => a - b);
    const choices = entries.map(([index, choice]) =>
      this.#object === "chat.completion" ? chatChoice(index, choice) : textChoice(index, choice),
    );
    const ending = {
      ...(this.#usage ? { usage: this.#usage } : {}),
      ...(this.#timings ? { timings: this.#timings } : {}),
      ...(this.#verbose ? { __verbose: this.#verbose } : {}),
    };
    return { choices, ...this.#common, object: this.#object, ...ending };
  }

  #choice(index: number): Choice {
    let choice = this.#choices.get(index);
    if (choice === undefined) {
      choice = {
        text: "",
        content: null,
        reasoning: null,
        role: "assistant",
        toolCalls: new Map(),
        logprobs: null,
        finishReason: null,
      };
      this.#choices.set(index, choice);
    }
    return choice;
  }
}

function merge(choice: Choice, part: ChunkChoice): void {
  const { delta } = part;
  if (part.text) choice.text += part.text;
  if (delta?.role) choice.role = delta.role;
  if (typeof delta?.content === "string") choice.content = (choice.content ?? "") + delta.content;
  if (typeof delta?.reasoning_content === "string")
    choice.reasoning = (choice.reasoning ?? "") + delta.reasoning_content;
  for (const call of delta?.tool_calls ?? []) mergeToolCall(choice.toolCalls, call);
  if (part.logprobs) choice.logprobs = mergeLogprobs(choice.logprobs, part.logprobs);
  if (part.finish_reason) choice.finishReason = part.finish_reason;
}

function mergeToolCall(calls: Map<number, ToolCall>, delta: ToolCallDelta): void {
  const index = delta.index ?? 0;
  const call = calls.get(index) ?? { id: "", type: "function", name: "", arguments: "", extra: undefined };
  calls.set(index, call);
  if (delta.id) call.id = delta.id;
  if (delta.type) call.type = delta.type;
  if (delta.extra_content) call.extra = delta.extra_content;
  call.name += delta.function?.name ?? "";
  call.arguments += delta.function?.arguments ?? "";
}

/** Lists (`content`, `tokens`, `token_logprobs`, …) are appended; for everything else the last value counts. */
function mergeLogprobs(known: Record<string, unknown> | null, more: Logprobs): Record<string, unknown> {
  const merged = { ...known };
  for (const [name, value] of Object.entries(more)) {
    const before = merged[name];
    merged[name] = Array.isArray(before) && Array.isArray(value) ? [...before, ...value] : value;
  }
  return merged;
}

function chatChoice(index: number, choice: Choice): Record<string, unknown> {
  const calls = [...choice.toolCalls].sort(([a], [b]) => a - b);
  const message = {
    role: choice.role,
    content: choice.content ?? (calls.length > 0 ? null : ""),
    ...(choice.reasoning === null ? {} : { reasoning_content: choice.reasoning }),
    ...(calls.length === 0
      ? {}
      : {
          tool_calls: calls.map(([, call]) => ({
            id: call.id,
            type: call.type,
            function: { name: call.name, arguments: call.arguments },
            ...(call.extra === undefined ? {} : { extra_content: call.extra }),
          })),
        }),
  };
  return {
    finish_reason: choice.finishReason,
    index,
    message,
    ...(choice.logprobs === null ? {} : { logprobs: choice.logprobs }),
  };
}

const textChoice = (index: number, choice: Choice): Record<string, unknown> => ({
  text: choice.text,
  index,
  logprobs: choice.logprobs,
  finish_reason: choice.finishReason,
});
