import type { Redis } from "ioredis";
import { AssistantError } from "../core/errors.ts";
import { reconnecting } from "../store/redis/retry.ts";
import { failed } from "./service.ts";

/** The destination of values: exactly one of the three. */
export interface RedisPlace {
  readonly list?: string;
  readonly stream?: string;
  readonly channel?: string;
}

const REDIS = "Redis";
export const DEFAULT_REDIS = "redis://127.0.0.1:6379";

/** Throws `pipeline_invalid` unless one is named. */
export function placeOf({ list, stream, channel }: RedisPlace): {
  readonly type: keyof RedisPlace;
  readonly key: string;
} {
  const named = Object.entries({ list, stream, channel }).filter(
    (entry): entry is [keyof RedisPlace, string] => !!entry[1],
  );
  const [first] = named;
  if (first !== undefined && named.length === 1) return { type: first[0], key: first[1] };
  throw new AssistantError(
    "pipeline_invalid",
    `Expected one of \`list\`, \`stream\` and \`channel\`; found ${named.length}.`,
  );
}

const COMMAND_MS = 10_000;
const SILENCE_MS = 15_000;

/** A connection that is opened by the first command, and re-established when it breaks. */
export async function connectRedis(address: string): Promise<Redis> {
  const { Redis } = await import("../store/redis/client.ts");
  const redis = new Redis(address, {
    ...{ lazyConnect: true, maxRetriesPerRequest: 2, connectTimeout: 5_000 },
    // A server that is stopped takes commands and answers none.
    commandTimeout: COMMAND_MS,
    socketTimeout: SILENCE_MS,
    retryStrategy: reconnecting(),
  });
  // Commands report it.
  redis.on("error", () => {});
  return redis;
}

/** What a command failed of. */
export const redisFailed = (error: unknown): AssistantError =>
  failed({ service: REDIS }, `failed: ${(error as Error).message}`, error);
