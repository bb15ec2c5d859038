import { createHash, randomBytes } from "node:crypto";
import { open, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { AssistantError } from "../core/errors.ts";
import { needRoom } from "./pull/disk.ts";
import { FILE_MODE, makeFolder } from "./pull/modes.ts";
import { findByDigest, type ModelStore } from "./store.ts";

/** In the folder of the weights, so that a model can be created from one without a copy. */
const FOLDER = ".uploads";
/** Retention of uploads that were not used for a model. */
const MAX_AGE_MS = 24 * 3_600_000;
const SHA256 = /^[0-9a-f]{64}$/;

/** Files uploaded by clients, each under its SHA-256 (lower-case hex), until a model is created from them. */
export class Uploads {
  readonly #store: ModelStore;

  constructor(store: ModelStore) {
    this.#store = store;
  }

  /** A file with this digest that was sent, or that a stored model has; null: there is none. */
  async find(sha256: string): Promise<string | null> {
    const file = this.#file(sha256);
    const found = await stat(file).catch(() => null);
    return found?.isFile() === true ? file : ((await findByDigest(this.#store, sha256))?.file ?? null);
  }

  /**
   * Takes a file over, whole and with the right digest or not at all. Throws `empty_body`, `invalid_request` and
   * `disk_full`. `bytes`: its length, where it is known.
   */
  async receive(sha256: string, content: Readable | null, bytes: number | null): Promise<void> {
    const file = this.#file(sha256);
    if (content === null || bytes === 0) throw noContent();
    const folder = join(this.#store.weightsDir, FOLDER);
    await makeFolder(folder);
    await this.#sweep(folder);
    await needRoom(folder, bytes ?? 0);
    const draft = `${file}.${randomBytes(6).toString("hex")}.partial`;
    const hash = createHash("sha256");
    // Open before anything can fail: what is removed afterwards must be there by then.
    const into = (await open(draft, "wx", FILE_MODE)).createWriteStream({ flush: true });
    try {
      await pipeline(
        content,
        async function* (parts: AsyncIterable<Buffer>) {
          for await (const part of parts) {
            hash.update(part);
            yield part;
          }
        },
        into,
      );
      if (into.bytesWritten === 0) throw noContent();
      const digest = hash.digest("hex");
      if (digest !== sha256)
        throw new AssistantError("invalid_request", `The digest of what was sent is ${digest}, not ${sha256}.`, {
          param: "digest",
          remedy: "Send the file again.",
        });
      await rename(draft, file);
    } finally {
      await rm(draft, { force: true });
    }
  }

  /** A model was created from it, and has taken it over. */
  async discard(sha256: string): Promise<void> {
    await rm(this.#file(sha256), { force: true });
  }

  #file(sha256: string): string {
    if (SHA256.test(sha256)) return join(this.#store.weightsDir, FOLDER, sha256);
    throw new AssistantError(
      "invalid_request",
      `Expected "sha256:" and 64 hex digits, found "${sha256.slice(0, 80)}".`,
      {
        param: "digest",
      },
    );
  }

  async #sweep(folder: string): Promise<void> {
    for (const name of await readdir(folder)) {
      const file = join(folder, name);
      const found = await stat(file).catch(() => null);
      if (found !== null && Date.now() - found.mtimeMs > MAX_AGE_MS) await rm(file, { force: true });
    }
  }
}

const noContent = (): AssistantError =>
  new AssistantError("empty_body", "The request has no body; expected the bytes of a file.");
