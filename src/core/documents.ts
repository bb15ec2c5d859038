/** A kind of document: what makes one valid, and how carefully it is kept. */
export interface DocumentType<T> {
  /** For messages, such as `usage of API keys`. */
  readonly title: string;
  /**
   * Newest format this program reads. A document says which one it has in a field `schema`; without it, it has
   * format 1. A newer one is refused, for reading and for writing.
   */
  readonly schema: number;
  /** False: losing the last write to a power failure does no harm. A crash of the process never loses it. */
  readonly durable: boolean;
  /** The value, or null where it is not valid. */
  parse(value: unknown): T | null;
  /** The error that reading a damaged one throws. Without it, a damaged document reads as a missing one. */
  refuse?(location: string): Error;
}

/**
 * Small named values that survive the process, such as the selected engine. One object per folder; implemented by
 * `src/store`.
 *
 * A damaged document is reported and never lost: the next write or removal sets it aside under another name.
 */
export interface Documents {
  /** The document's path, for messages. */
  locate(name: string): string;
  /**
   * Null if there is none. Throws `data_newer` for the format of a newer version, and errors of the file system.
   * Changes nothing.
   */
  read<T>(name: string, type: DocumentType<T>): Promise<T | null>;
  /**
   * Replaces the document at once: a reader sees the old value or the new one. Throws `data_newer` and errors of the
   * file system.
   */
  write<T>(name: string, type: DocumentType<T>, value: T): Promise<void>;
  /** Does nothing if there is none. */
  remove<T>(name: string, type: DocumentType<T>): Promise<void>;
}
