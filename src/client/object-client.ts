import { type IncomingMessage, request } from "node:http";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { OBJECTS_PATH, type ObjectPage, type ObjectRef } from "../api/objects.ts";
import type { Paths } from "../core/config.ts";
import { answerOfDaemon, explain } from "./unix-http.ts";

/** Objects of the daemon. Every call rejects with an AssistantError. */
export interface ObjectClient {
  /** Creates or replaces an object; `key` null: with a new key. */
  put(key: string | null, type: ObjectRef["content_type"], content: AsyncIterable<Uint8Array>): Promise<ObjectRef>;
  /** The response with the content. Rejects with `object_not_found`. */
  get(key: string): Promise<IncomingMessage>;
  /** Ordered by key. `query`: `limit`, `after`. */
  list(query: Readonly<Record<string, string>>): Promise<ObjectPage>;
  remove(key: string): Promise<void>;
}

export function objectClient({ adminSocket: socketPath }: Pick<Paths, "adminSocket">): ObjectClient {
  const at = (key: string): string => `${OBJECTS_PATH}/${encodeURIComponent(key)}`;
  const json = async <T>(answer: Promise<IncomingMessage>): Promise<T> => JSON.parse(await text(await answer)) as T;
  return {
    put: (key, type, content) =>
      json(
        call(socketPath, key === null ? "POST" : "PUT", key === null ? OBJECTS_PATH : at(key), {
          type: type === "json" ? "application/json" : "application/octet-stream",
          content,
        }),
      ),
    get: (key) => call(socketPath, "GET", at(key)),
    list: (query) => json(call(socketPath, "GET", `${OBJECTS_PATH}?${new URLSearchParams(query)}`)),
    remove: async (key) => void (await call(socketPath, "DELETE", at(key))).resume(),
  };
}

interface Content {
  readonly type: string;
  readonly content: AsyncIterable<Uint8Array>;
}

/** Resolves with an answer that is no error; its body is the caller's to read. */
async function call(socketPath: string, method: string, path: string, body?: Content): Promise<IncomingMessage> {
  const headers = body === undefined ? {} : { "content-type": body.type };
  const outgoing = request({ socketPath, method, path, agent: false, headers });
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.once("response", resolve);
    outgoing.once("error", (error) => reject(explain(error, socketPath)));
  });
  if (body === undefined) outgoing.end();
  // A refusal may come before everything was sent.
  else pipeline(Readable.from(body.content), outgoing).catch(() => {});
  return await answerOfDaemon(await answered, socketPath);
}
