import { AssistantModel } from "./assistant-model.ts";
import { type Document, fetchDocument } from "./document.ts";
import type { ChatRecord, ClassContext, GeneralProcessInterface, RequestContext } from "./records.ts";
import { numberArg, textArg } from "./records.ts";

type Args = Readonly<Record<string, unknown>>;

const COMMAND = /^\s*\/url\s+(\S+)\s*([\s\S]*)$/;
const HELP = "Send `/url ADDRESS` with the address of a page, and ask about it then.";
const DEFAULT_QUESTION = "Summarize the document.";
const PASSAGE_CHARACTERS = 800;
const PASSAGES_SHOWN = 4;
const MAX_PASSAGES = 256;
const KEPT_DOCUMENTS = 8;

/** A page, with the vectors of its passages if an embedding model selects them. */
interface Indexed extends Document {
  readonly passages: readonly string[];
  readonly vectors: readonly (readonly number[])[] | null;
}

/**
 * Answers questions about a page that the user names with `/url ADDRESS`. `args`: `model` for the answers;
 * `embedding_model` for finding passages (without one, the beginning of the page is used); `url` of the API;
 * `max_characters` of the page in a prompt; `allow_private`, to read pages of private networks.
 */
export class DocumentQaProcess implements GeneralProcessInterface {
  readonly #model: AssistantModel;
  readonly #embeddingModel: string | null;
  readonly #maxCharacters: number;
  readonly #allowPrivate: boolean;
  readonly #documents = new Map<string, Promise<Indexed>>();

  constructor(args: Args, context: ClassContext) {
    this.#model = new AssistantModel(args, context);
    this.#embeddingModel = args["embedding_model"] === undefined ? null : textArg(args, "embedding_model");
    this.#maxCharacters = numberArg(args, "max_characters", 6000, 100);
    this.#allowPrivate = args["allow_private"] === true;
  }

  async *process(history: readonly ChatRecord[], context: RequestContext): AsyncGenerator<string> {
    const asked = history.filter(({ role }) => role === "user").map(({ msg }) => msg);
    const command = asked.map((msg) => COMMAND.exec(msg)).findLast((found) => found !== null);
    const url = command?.[1];
    if (url === undefined) {
      yield HELP;
      return;
    }
    const last = asked.at(-1) ?? "";
    const question = (COMMAND.exec(last)?.[2] ?? last).trim() || DEFAULT_QUESTION;
    let document: Indexed;
    try {
      document = await this.#documentAt(url, context.signal);
    } catch (error) {
      yield `The page cannot be read: ${(error as Error).message}`;
      return;
    }
    yield* this.#model.complete(await this.#prompt(document, question, context.signal), context);
  }

  /** Read once for all questions about it; a page that could not be read is tried again. */
  #documentAt(url: string, signal: AbortSignal): Promise<Indexed> {
    const known = this.#documents.get(url);
    if (known !== undefined) return known;
    const read = this.#read(url, signal);
    this.#documents.set(url, read);
    const [oldest] = this.#documents.keys();
    if (this.#documents.size > KEPT_DOCUMENTS && oldest !== undefined) this.#documents.delete(oldest);
    read.catch(() => this.#documents.delete(url));
    return read;
  }

  async #read(url: string, signal: AbortSignal): Promise<Indexed> {
    const document = await fetchDocument(url, { signal, allowPrivate: this.#allowPrivate });
    if (document.text === "") throw new Error("it has no text.");
    const passages = passagesOf(document.text).slice(0, MAX_PASSAGES);
    const vectors =
      this.#embeddingModel === null ? null : await this.#model.embed(this.#embeddingModel, passages, signal);
    return { ...document, passages, vectors };
  }

  async #prompt(document: Indexed, question: string, signal: AbortSignal): Promise<ChatRecord[]> {
    const { title } = document;
    const text = (await this.#excerpt(document, question, signal)).slice(0, this.#maxCharacters);
    return [
      {
        role: "system",
        msg: "Answer only from the document. Say so if it does not contain the answer.",
      },
      { role: "user", msg: `Document "${title}":\n${text}\n\nQuestion: ${question}` },
    ];
  }

  /** The passages most similar to the question, in the page's order; without vectors, its beginning. */
  async #excerpt({ text, passages, vectors }: Indexed, question: string, signal: AbortSignal): Promise<string> {
    if (vectors === null || this.#embeddingModel === null) return text;
    const [wanted = []] = await this.#model.embed(this.#embeddingModel, [question], signal);
    const near = vectors
      .map((vector, index) => ({ index, likeness: cosine(vector, wanted) }))
      .sort((a, b) => b.likeness - a.likeness)
      .slice(0, PASSAGES_SHOWN)
      .sort((a, b) => a.index - b.index);
    return near.map(({ index }) => passages[index] ?? "").join("\n…\n");
  }
}

/** Whole lines up to a length; longer lines are cut. */
export function passagesOf(text: string): string[] {
  const passages: string[] = [];
  let passage = "";
  for (const line of text.split("\n"))
    for (let at = 0; at < line.length; at += PASSAGE_CHARACTERS) {
      const part = line.slice(at, at + PASSAGE_CHARACTERS);
      if (passage !== "" && passage.length + part.length > PASSAGE_CHARACTERS) {
        passages.push(passage);
        passage = "";
      }
      passage += passage === "" ? part : `\n${part}`;
    }
  return passage === "" ? passages : [...passages, passage];
}

function cosine(one: readonly number[], other: readonly number[]): number {
  const product = (left: readonly number[], right: readonly number[]): number =>
    left.reduce((sum, value, index) => sum + value * (right[index] ?? 0), 0);
  return product(one, other) / (Math.sqrt(product(one, one) * product(other, other)) || 1);
}
