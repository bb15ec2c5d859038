import { stat } from "node:fs/promises";
import type { Documents, DocumentType } from "../core/documents.ts";
import type { ModelFacts } from "./facts.ts";
import { checkWeights } from "./resolve.ts";

interface Entry {
  /** Changes with the file. */
  readonly identity: string;
  readonly facts: ModelFacts;
}

type Entries = Readonly<Record<string, Entry>>;

const NAME = "model-facts";
const MAX_KEPT = 2_000;

const factsDocument: DocumentType<Entries> = {
  title: "facts of model files",
  // Raised when `ModelFacts` changes.
  schema: 1,
  durable: false,
  parse: (value) => (typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Entries) : null),
};

/**
 * The facts of model files that are no part of the store, kept from one command to the next: reading a header takes tens of
 * milliseconds, and there may be hundreds. Read `of` each file, then `save`.
 */
export class FactsCache {
  readonly #documents: Documents;
  readonly #kept: Promise<Entries>;
  readonly #read = new Map<string, Entry>();

  constructor(documents: Documents) {
    this.#documents = documents;
    // What cannot be read is read from the files again.
    this.#kept = documents.read(NAME, factsDocument).then(
      (entries) => entries ?? {},
      () => ({}),
    );
  }

  /** Throws `model_invalid`. */
  async of(file: string): Promise<ModelFacts> {
    const { dev, ino, size, mtimeMs, ctimeMs } = await stat(file);
    const identity = `${dev} ${ino} ${size} ${mtimeMs} ${ctimeMs}`;
    const known = (await this.#kept)[file];
    if (known?.identity === identity) return known.facts;
    const part = (await checkWeights(file))?.part ?? null;
    const { readModelFacts } = await import("./facts.ts");
    const facts = await readModelFacts(file);
    // Of a model in several files the others may be missing the next time.
    if (part === null) this.#read.set(file, { identity, facts });
    return facts;
  }

  /** Keeps what was read. A directory that may only be read keeps nothing. */
  async save(): Promise<void> {
    if (this.#read.size === 0) return;
    const entries = Object.entries({ ...(await this.#kept), ...Object.fromEntries(this.#read) });
    await this.#documents.write(NAME, factsDocument, Object.fromEntries(entries.slice(-MAX_KEPT))).catch(() => {});
  }
}
