import type { ChatMessage, ChatRequest } from "../../../src/client/chat-stream.ts";
import type { ParameterName } from "./slash.ts";

export interface ChatSettings {
  readonly model: string;
  readonly system: string | null;
  /** Null: the model's own. */
  readonly temperature: number | null;
  readonly seed: number | null;
  readonly maxTokens: number | null;
  /** Id of the conversation in which the daemon keeps what is said; null: it is forgotten with the chat. */
  readonly conversation: string | null;
}

/** One chat: its settings and what was said. Only answers that came to something become part of it. */
export class ChatSession {
  #settings: ChatSettings;
  #messages: ChatMessage[] = [];

  constructor(settings: ChatSettings) {
    this.#settings = settings;
  }

  get settings(): ChatSettings {
    return this.#settings;
  }

  get length(): number {
    return this.#messages.length;
  }

  setSystem(system: string | null): void {
    this.#settings = { ...this.#settings, system };
  }

  setParameter(name: ParameterName, value: number | null): void {
    this.#settings = { ...this.#settings, [name]: value };
  }

  clear(): void {
    this.#messages = [];
  }

  /** The request that asks `text` after all that was said. */
  request(text: string): ChatRequest {
    const { system, ...sampling } = this.#settings;
    const first: ChatMessage[] = system === null ? [] : [{ role: "system", content: system }];
    const before = sampling.conversation === null ? this.#messages : [];
    return { ...sampling, messages: [...first, ...before, { role: "user", content: text }] };
  }

  /** A stopped answer is kept as far as it got; an empty one leaves no trace. */
  remember(text: string, answer: string): void {
    if (answer.trim() === "") return;
    this.#messages.push({ role: "user", content: text }, { role: "assistant", content: answer });
  }
}
