import { mkdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Documents, DocumentType } from "../core/documents.ts";
import { AssistantError } from "../core/errors.ts";

export interface FolderOptions {
  readonly directory: string;
  /** Permissions of new files; the umask decides where it is null. */
  readonly fileMode: number | null;
  /** Permissions of the directory, if it must be created; null: decided by the umask. */
  readonly directoryMode: number | null;
  /** Called with a sentence for each damaged document that is found, and for each that is set aside. */
  report(problem: string): void;
}

type Reading<T> =
  | { readonly state: "missing" }
  | { readonly state: "found"; readonly value: T }
  | { readonly state: "damaged" }
  | { readonly state: "newer"; readonly schema: number };

/** Each document is a file `NAME.json` in one directory, in a form that people can read. */
export class JsonDocuments implements Documents {
  readonly #options: FolderOptions;

  constructor(options: FolderOptions) {
    this.#options = options;
  }

  locate(name: string): string {
    return join(this.#options.directory, `${name}.json`);
  }

  async read<T>(name: string, type: DocumentType<T>): Promise<T | null> {
    const file = this.locate(name);
    const reading = await inspect(file, type);
    switch (reading.state) {
      case "found":
        return reading.value;
      case "missing":
        return null;
      case "newer":
        throw tooNew(file, type, reading.schema);
      case "damaged": {
        const refusal = type.refuse?.(file);
        if (refusal !== undefined) throw refusal;
        this.#options.report(`The ${type.title} in ${file} cannot be read and is ignored.`);
        return null;
      }
    }
  }

  async write<T>(name: string, type: DocumentType<T>, value: T): Promise<void> {
    const file = this.locate(name);
    await mkdir(this.#options.directory, { recursive: true, ...modeOf(this.#options.directoryMode) });
    await this.#makeWay(file, type);
    // Commands that only read do without it.
    const { default: writeFileAtomic } = await import("write-file-atomic");
    await writeFileAtomic(file, `${JSON.stringify(value, null, 2)}\n`, {
      fsync: type.durable,
      ...modeOf(this.#options.fileMode),
    });
  }

  async remove<T>(name: string, type: DocumentType<T>): Promise<void> {
    const file = this.locate(name);
    await this.#makeWay(file, type);
    await rm(file, { force: true });
  }

  /** A damaged file can be repaired by hand, and that of a newer version used again, since it is unchanged. */
  async #makeWay<T>(file: string, type: DocumentType<T>): Promise<void> {
    const reading = await inspect(file, type);
    if (reading.state === "newer") throw tooNew(file, type, reading.schema);
    if (reading.state !== "damaged") return;
    const aside = `${file}.damaged-${new Date().toISOString().replaceAll(":", "-")}`;
    await rename(file, aside);
    this.#options.report(`The ${type.title} in ${file} could not be read; the file is now ${aside}.`);
  }
}

async function inspect<T>(file: string, type: DocumentType<T>): Promise<Reading<T>> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return { state: "missing" };
    throw error;
  }
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    return { state: "damaged" };
  }
  const schema = (content as { readonly schema?: unknown } | null)?.schema ?? 1;
  if (typeof schema === "number" && schema > type.schema) return { state: "newer", schema };
  const value = type.parse(content);
  return value === null ? { state: "damaged" } : { state: "found", value };
}

function tooNew(file: string, { title, schema }: DocumentType<unknown>, found: number): AssistantError {
  return new AssistantError(
    "data_newer",
    `The ${title} in ${file} has format ${found}; this version reads formats up to ${schema}.`,
    {
      remedy: "Update Assistant, or move the file away to start without it.",
    },
  );
}

const modeOf = (mode: number | null): { readonly mode?: number } => (mode === null ? {} : { mode });
