import { isAssistantError, toAssistantError } from "../../core/errors.ts";
import type { JsonObject } from "../../core/inference.ts";
import type { ReadVariable } from "../secrets.ts";

/** What a source works with. */
export interface SourcePorts {
  /** Runs the pipeline for one message. Resolves with the text of its answer; rejects with why there is none. */
  answer(request: JsonObject): Promise<string>;
  readonly variable: ReadVariable;
  readonly concurrency: number;
  /** A message was not answered, or the source cannot be reached. */
  trouble(error: Error): void;
}

/** Takes messages from somewhere and has the pipeline answer them, until it is closed. */
export interface Source {
  /** Takes no more; those that are being answered are given back. */
  close(): Promise<void>;
}

/** A message as a request: JSON with the fields of one, or any text. */
export function requestOf(message: string): JsonObject {
  const usual = { user: "source", Input: "", text: message, Entry: 0 };
  try {
    const json: unknown = JSON.parse(message);
    if (typeof json === "object" && json !== null && !Array.isArray(json))
      return { ...usual, ...("text" in json || "Input" in json ? { text: "" } : {}), ...json };
  } catch {}
  return usual;
}

/** Whether the message would fail again, however often it is tried. */
export const isHopeless = (error: unknown): boolean => isAssistantError(error) && toAssistantError(error).status < 500;

const FIRST_PAUSE_MS = 500;
const MAX_PAUSE_MS = 30_000;

/** How long to wait after failures, which may well be all messages' and not this one's. */
export class Pauses {
  #failures = 0;
  readonly #signal: AbortSignal;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  succeeded(): void {
    this.#failures = 0;
  }

  /** Resolves after twice as long as the last time, or when the source is closed. */
  async failed(): Promise<void> {
    const ms = Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#failures);
    this.#failures += 1;
    await pause(ms, this.#signal);
  }
}

export const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end, { once: true });
  });
