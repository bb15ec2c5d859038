import { EventSourceParserStream } from "eventsource-parser/stream";
import type { ChatRecord, ClassContext, CompletionInterface, RequestContext } from "./records.ts";
import { textArg } from "./records.ts";

type Args = Readonly<Record<string, unknown>>;

const ROLES = { user: "user", bot: "assistant", system: "system" } as const;

/**
 * Calls a model of the daemon, or of any server with an OpenAI-compatible API. `args`: `model`, `url` (with `/v1`;
 * default: the daemon's).
 */
export class AssistantModel implements CompletionInterface {
  readonly #model: string;
  readonly #url: string;
  readonly #key: string | null;

  constructor(args: Args, { daemonUrl, apiKey }: ClassContext) {
    this.#model = textArg(args, "model");
    this.#url = textArg(args, "url", `${daemonUrl}/v1`).replace(/\/$/, "");
    this.#key = apiKey;
  }

  async *complete(history: readonly ChatRecord[], { signal }: RequestContext): AsyncGenerator<string> {
    const messages = history.map(({ role, msg }) => ({ role: ROLES[role], content: msg }));
    const answer = await this.#post("/chat/completions", { model: this.#model, messages, stream: true }, signal);
    const events = (answer.body ?? new ReadableStream<Uint8Array<ArrayBuffer>>())
      .pipeThrough(new TextDecoderStream())
      .pipeThrough(new EventSourceParserStream());
    for await (const { data } of events) {
      if (data === "[DONE]") return;
      const { choices, error } = JSON.parse(data) as Chunk;
      if (error) throw new Error(`"${this.#model}" failed: ${error.message}`);
      const text = choices?.[0]?.delta?.content;
      if (text) yield text;
    }
    throw new Error(`the answer of "${this.#model}" ended too early`);
  }

  /** The embeddings of texts, in order. `model`: an embedding model. */
  async embed(model: string, input: readonly string[], signal: AbortSignal): Promise<readonly (readonly number[])[]> {
    const { data } = (await (await this.#post("/embeddings", { model, input }, signal)).json()) as {
      readonly data: readonly { readonly index: number; readonly embedding: readonly number[] }[];
    };
    return [...data].sort((a, b) => a.index - b.index).map(({ embedding }) => embedding);
  }

  async #post(path: string, body: object, signal: AbortSignal): Promise<Response> {
    const answer = await fetch(`${this.#url}${path}`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        ...(this.#key === null ? {} : { authorization: `Bearer ${this.#key}` }),
      },
      body: JSON.stringify(body),
      signal,
    });
    if (answer.ok) return answer;
    throw new Error(
      `${this.#url}${path} answered with status ${answer.status}: ${(await answer.text()).slice(0, 500)}`,
    );
  }
}

interface Chunk {
  readonly choices?: readonly { readonly delta?: { readonly content?: string | null } }[];
  readonly error?: { readonly message: string } | null;
}
