import { stat } from "node:fs/promises";
import type { Documents, DocumentType } from "../core/documents.ts";
import { type GgufHeader, type ReadHeader, readGguf } from "./gguf-header.ts";

interface Entry {
  /** Changes with the file. */
  readonly identity: string;
  readonly header: GgufHeader;
}

type Entries = Readonly<Record<string, Entry>>;

const NAME = "gguf-headers";
const MAX_KEPT = 2_000;

const headersDocument: DocumentType<Entries> = {
  title: "headers of model files",
  // Raised when `GgufHeader` changes.
  schema: 1,
  durable: false,
  parse: (value) => (typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Entries) : null),
};

/**
 * What the headers of files say, kept from one process to the next: reading one takes milliseconds, of a large
 * vocabulary tens, and there may be hundreds.
 */
export class HeaderCache {
  readonly #documents: Documents;
  readonly #readFile: ReadHeader;
  #kept: Promise<Map<string, Entry>> | null = null;
  #changed = false;

  constructor(documents: Documents, readFile: ReadHeader = readGguf) {
    this.#documents = documents;
    this.#readFile = readFile;
  }

  /** As `readGguf`; a file that has not changed since it was read is not read again. */
  readonly read: ReadHeader = async (file) => {
    const { dev, ino, size, mtimeMs, ctimeMs } = await stat(file);
    const identity = `${dev} ${ino} ${size} ${mtimeMs} ${ctimeMs}`;
    const kept = await this.#entries();
    const known = kept.get(file);
    if (known?.identity === identity) return known.header;
    const header = await this.#readFile(file);
    kept.delete(file);
    kept.set(file, { identity, header });
    const [oldest] = kept.keys();
    if (kept.size > MAX_KEPT && oldest !== undefined) kept.delete(oldest);
    this.#changed = true;
    return header;
  };

  /** Keeps what was read, where something was. A directory that may only be read keeps nothing. */
  async save(): Promise<void> {
    if (!this.#changed) return;
    this.#changed = false;
    const entries = Object.fromEntries(await this.#entries());
    await this.#documents.write(NAME, headersDocument, entries).catch(() => {});
  }

  #entries(): Promise<Map<string, Entry>> {
    // What cannot be read is read from the files again.
    this.#kept ??= this.#documents.read(NAME, headersDocument).then(
      (entries) => new Map(Object.entries(entries ?? {})),
      () => new Map(),
    );
    return this.#kept;
  }
}
