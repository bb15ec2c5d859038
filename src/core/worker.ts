import type { JsonObject } from "./inference.ts";
import type { Capabilities } from "./model.ts";

/**
 * A worker's protocol. `form`: one POST to its endpoint with the form field `input`, a JSON list of `WorkerMessage`;
 * the answer is streamed text.
 */
export const workerProtocols = ["form"] as const;
export type WorkerProtocol = (typeof workerProtocols)[number];

/** What a worker says of itself when it registers. Name and endpoint together are unique. */
export interface WorkerRegistration {
  /** The model that it serves: clients of every door ask for it by this name. */
  readonly name: string;
  /** URL for requests, such as http://127.0.0.1:9001/v1/completion. */
  readonly endpoint: string;
  readonly protocol: WorkerProtocol;
  /** Requests it works on at once, over all of its names. */
  readonly slots: number;
  /** Its capabilities, by name, in addition to those implied by its protocol. */
  readonly capabilities: Capabilities;
}

/** One message of a chat history, as workers get it. */
export interface WorkerMessage {
  readonly isbot: boolean;
  readonly msg: string;
  /** Set for instructions, which other workers take for a message of the user. */
  readonly role?: "system";
}

/** What a worker's text ends with when it failed in the middle of it. */
export const WORKER_FAILED = "Error occurred. Please consult support.";

/** Reads the form field `input`; null for what is no list of messages. */
export function parseWorkerInput(input: string): readonly WorkerMessage[] | null {
  let value: unknown;
  try {
    value = JSON.parse(input);
  } catch {
    return null;
  }
  return Array.isArray(value) && value.every(isMessage) ? value : null;
}

const isMessage = (value: unknown): value is WorkerMessage => {
  if (typeof value !== "object" || value === null) return false;
  const { isbot, msg } = value as JsonObject;
  return typeof isbot === "boolean" && typeof msg === "string";
};
