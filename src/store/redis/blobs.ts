import { createHash, randomUUID } from "node:crypto";
import { Readable } from "node:stream";
import { AssistantError } from "../../core/errors.ts";
import type { Blob, BlobContent, Blobs } from "../../core/store.ts";
import { KEY_PREFIX, type RedisConnection } from "./connection.ts";

const PIECE_BYTES = 512 * 1024;
const NAMES = `${KEY_PREFIX}blobs`;
const keyOf = (name: string): string => `${KEY_PREFIX}b:${name}`;

/**
 * Contents of files in Redis, where every daemon finds them: a hash of numbered pieces for each. `blobs` holds all
 * names with the time of writing; one that is being written is there too, so that what a writer left behind is swept.
 */
export class RedisBlobs implements Blobs {
  readonly #connection: RedisConnection;
  readonly #now: () => number;

  constructor(connection: RedisConnection, now: () => number) {
    this.#connection = connection;
    this.#now = now;
  }

  async write(source: AsyncIterable<Uint8Array>, { maxBytes }: { readonly maxBytes: number }): Promise<Blob> {
    const redis = this.#connection;
    const partial = `partial-${randomUUID()}`;
    const hash = createHash("sha256");
    let bytes = 0;
    let number = 0;
    const keep = async (piece: Buffer): Promise<void> => {
      await redis.command("ZADD", NAMES, this.#now(), partial);
      await redis.command("HSET", keyOf(partial), number++, piece);
    };
    try {
      let held: Buffer[] = [];
      let heldBytes = 0;
      for await (const chunk of source) {
        bytes += chunk.length;
        if (bytes > maxBytes)
          throw new AssistantError("body_too_large", `The file is larger than the ${maxBytes} bytes that are allowed.`);
        hash.update(chunk);
        held.push(Buffer.from(chunk));
        heldBytes += chunk.length;
        if (heldBytes < PIECE_BYTES) continue;
        const all = Buffer.concat(held);
        let at = 0;
        for (; all.length - at >= PIECE_BYTES; at += PIECE_BYTES) await keep(all.subarray(at, at + PIECE_BYTES));
        held = [all.subarray(at)];
        heldBytes = all.length - at;
      }
      if (heldBytes > 0) await keep(Buffer.concat(held));
      const digest = hash.digest("hex");
      await redis.command("ZADD", NAMES, this.#now(), digest);
      await redis.command("HSET", keyOf(partial), "bytes", bytes);
      await redis.command("RENAME", keyOf(partial), keyOf(digest));
      await redis.command("ZREM", NAMES, partial);
      return { digest, bytes };
    } catch (error) {
      await redis.command("UNLINK", keyOf(partial)).catch(() => {});
      throw error;
    }
  }

  async read(digest: string, range?: { readonly start: number; readonly end: number }): Promise<BlobContent | null> {
    if (!/^[0-9a-f]{64}$/.test(digest)) throw new AssistantError("invalid_request", "A digest has 64 hex digits.");
    const size = await this.#connection.command("HGET", keyOf(digest), "bytes");
    if (size === null) return null;
    const bytes = Number(size);
    const { start, end } = range ?? { start: 0, end: bytes };
    return { bytes, stream: Readable.from(this.#pieces(digest, start, Math.min(end, bytes)), { objectMode: false }) };
  }

  async *#pieces(digest: string, start: number, end: number): AsyncGenerator<Buffer> {
    for (let at = start; at < end; ) {
      const number = Math.floor(at / PIECE_BYTES);
      const offset = number * PIECE_BYTES;
      const piece = (await this.#connection.bytes("HGET", keyOf(digest), number)) as Buffer | null;
      if (piece === null)
        throw new AssistantError("store_unavailable", "A file's content was deleted while it was read.");
      const last = Math.min(end - offset, piece.length);
      yield piece.subarray(at - offset, last);
      at = offset + last;
    }
  }
}
