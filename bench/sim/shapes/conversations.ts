import { createHash } from "node:crypto";
import type { PrefixMark } from "../../../src/core/request.ts";
import { seededRandom } from "../../../test/support/random.ts";
import { MODEL, type SimRequest, type SimSource } from "../requests.ts";
import { type Shape, turnOrder } from "./shape.ts";

/** One turn of a conversation. A byte of the texts stands for a token. */
export interface TurnRequest extends SimRequest {
  readonly conversation: number;
  readonly turn: number;
  readonly prompt: Buffer;
  readonly answer: Buffer;
  /** Prompt tokens that are in no earlier turn of the conversation or its answer. */
  readonly newTokens: number;
}

/** Tokens of a message around its text, and what the scheduler takes them to be. */
const FRAME_TOKENS = 5;
const ESTIMATED_FRAME_TOKENS = 4;
const ESTIMATED_BYTES_PER_TOKEN = 4;
/** Boundaries of which the scheduler is told, as `fingerprintPrefix` does. */
const FIRST_MARKS = 4;
const LAST_MARKS = 12;

interface Conversation {
  readonly messages: Buffer[];
  readonly marks: PrefixMark[];
  turns: number;
  busy: boolean;
}

/** Clients that have a number of conversations between them, and always as many requests as there are clients. */
export class Conversations implements SimSource<TurnRequest> {
  readonly #shape: Shape;
  readonly #order: number[];
  readonly #random: () => number;
  readonly #conversations: Conversation[];
  readonly #inFlight = new Map<string, TurnRequest>();
  #free: number;
  #now = 0;

  constructor(shape: Shape) {
    this.#shape = shape;
    this.#order = turnOrder(shape);
    this.#random = seededRandom(shape.seed + 1);
    const shared = shape.shared === 0 ? [] : [this.#text(shape.shared)];
    this.#conversations = Array.from({ length: shape.conversations }, () => {
      const conversation: Conversation = { messages: [], marks: [], turns: 0, busy: false };
      for (const text of shared) this.#add(conversation, text);
      return conversation;
    });
    this.#free = shape.atOnce;
  }

  get nextAt(): number | null {
    return this.#free > 0 && this.#nextTurn() >= 0 ? this.#now : null;
  }

  take(): TurnRequest {
    const index = this.#order.splice(this.#nextTurn(), 1)[0] ?? 0;
    const conversation = this.#conversations[index];
    if (conversation === undefined) throw new Error("no turn is left");
    const { shape, turn } = { shape: this.#shape, turn: conversation.turns };
    const known = turn === 0 ? 0 : lengthOf(conversation);
    this.#add(conversation, this.#text(varied(turn === 0 ? shape.firstMessage : shape.laterMessage, this.#random)));
    const prompt = Buffer.concat(conversation.messages);
    const answer = this.#text(varied(shape.answer, this.#random), 0);
    const blocks = conversation.marks.filter(
      (_, mark) => mark < FIRST_MARKS || mark >= conversation.marks.length - LAST_MARKS,
    );
    const request: TurnRequest = {
      id: `${index}.${turn}`,
      model: MODEL,
      tenant: "t",
      priority: 50,
      at: this.#now,
      promptTokens: prompt.length,
      estimatedTokens: blocks.at(-1)?.tokens ?? 0,
      outputTokens: answer.length,
      maxTokens: answer.length,
      blocks,
      conversation: index,
      turn,
      prompt,
      answer,
      newTokens: prompt.length - known,
    };
    conversation.busy = true;
    conversation.turns += 1;
    this.#free -= 1;
    this.#inFlight.set(request.id, request);
    return request;
  }

  ended(id: string, at: number): void {
    const request = this.#inFlight.get(id);
    const conversation = request && this.#conversations[request.conversation];
    if (request === undefined || conversation === undefined) return;
    this.#inFlight.delete(id);
    this.#add(conversation, request.answer);
    conversation.busy = false;
    this.#free += 1;
    this.#now = at;
  }

  /** The first in order whose last answer has come; -1: none. */
  #nextTurn(): number {
    return this.#order.findIndex((index) => this.#conversations[index]?.busy === false);
  }

  #add(conversation: Conversation, text: Buffer): void {
    conversation.messages.push(text);
    const last = conversation.marks.at(-1);
    const hash = createHash("sha1")
      .update(last?.hash ?? "")
      .update(text)
      .digest("base64");
    const bytes = Math.max(1, text.length - FRAME_TOKENS) * this.#shape.bytesPerToken;
    const tokens = (last?.tokens ?? 0) + ESTIMATED_FRAME_TOKENS + Math.ceil(bytes / ESTIMATED_BYTES_PER_TOKEN);
    conversation.marks.push({ hash, tokens });
  }

  /** No two are alike. */
  #text(tokens: number, frame = FRAME_TOKENS): Buffer {
    return Buffer.from(Array.from({ length: frame + tokens }, () => Math.floor(this.#random() * 128)));
  }
}

const lengthOf = ({ messages }: Conversation): number => messages.reduce((sum, { length }) => sum + length, 0);
const varied = (tokens: number, random: () => number): number =>
  Math.max(1, Math.round(tokens * (0.75 + random() / 2)));
