import type { JsonObject } from "../../core/inference.ts";
import { TimedThread } from "../../core/timed-thread.ts";

export interface CheckRequest {
  readonly schema: JsonObject;
  /** Null: whether the schema can be used. */
  readonly text: string | null;
}

export interface CheckAnswer {
  /** Null: there is none. */
  readonly problem: string | null;
}

const TIMEOUT_MS = 5_000;
const HEAP_MIB = 128;

/** Checks answers against JSON Schemas, one at a time, in a thread: a pattern can take for ever. */
export class SchemaChecker {
  readonly #thread: TimedThread<CheckRequest, CheckAnswer>;

  constructor({ timeoutMs = TIMEOUT_MS }: { readonly timeoutMs?: number } = {}) {
    this.#thread = new TimedThread({
      program: "src/tasks/schema/check-program",
      name: "schemas",
      timeoutMs,
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB },
    });
  }

  /** What is wrong with the text, or with the schema; null: nothing. */
  async check(schema: JsonObject, text: string | null): Promise<string | null> {
    try {
      return (await this.#thread.ask({ schema, text })).problem;
    } catch (error) {
      return `it cannot be checked against the JSON Schema: ${(error as Error).message}`;
    }
  }

  close(): void {
    this.#thread.close();
  }
}
