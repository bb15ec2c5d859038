import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import type { SourceSettings } from "../../config/schema/stages.ts";
import { connectRedis, DEFAULT_REDIS, placeOf } from "../redis.ts";
import { addressOf } from "../secrets.ts";
import { isHopeless, Pauses, pause, requestOf, type Source, type SourcePorts } from "./source.ts";

/** How long a command waits for a message. */
const WAIT_S = 1;
/** How long closing waits for messages to be given back. */
const GIVE_BACK_MS = 2_000;
/** A message of a stream that was taken this long ago and not answered may be claimed by any consumer. */
const STALE_MS = 60_000;

/**
 * Messages of a list, a stream or a channel. Of lists each waits in `KEY:taken` while it is answered, and one that can
 * never be goes to `KEY:failed`; of streams the consumer group keeps account. What a channel has sent is sent once.
 */
export function redisSource(settings: SourceSettings["redis"], ports: SourcePorts): Source {
  const { type, key } = placeOf(settings);
  const address = addressOf(settings, ports.variable, DEFAULT_REDIS);
  const ending = new AbortController();
  const { signal } = ending;
  const connections: Redis[] = [];
  const connect = async (): Promise<Redis> => {
    const redis = await connectRedis(address);
    connections.push(redis);
    return redis;
  };
  const pauses = new Pauses(signal);
  /** Works until it is closed, whatever goes wrong. */
  const always = async (step: () => Promise<void>): Promise<void> => {
    while (!signal.aborted)
      try {
        await step();
        pauses.succeeded();
      } catch (error) {
        if (signal.aborted) return;
        ports.trouble(error as Error);
        await pauses.failed();
      }
  };
  /** What waits for a message need not be waited for when the source closes. */
  const waiting = async <T>(redis: Redis, command: Promise<T>): Promise<T> => {
    const leave = (): void => redis.disconnect();
    signal.addEventListener("abort", leave, { once: true });
    try {
      return await command;
    } finally {
      signal.removeEventListener("abort", leave);
    }
  };
  const each = { list: listLoop, stream: streamLoop, channel: channelLoop }[type];
  const context: LoopContext = { key, group: settings.group ?? "assistant", ports, signal, connect, always, waiting };
  const loops = each(context).catch((error: Error) => ports.trouble(error));
  return {
    async close() {
      ending.abort();
      await Promise.race([loops, sleep(GIVE_BACK_MS, undefined, { ref: false })]);
      for (const redis of connections) redis.disconnect();
    },
  };
}

interface LoopContext {
  readonly key: string;
  readonly group: string;
  readonly ports: SourcePorts;
  readonly signal: AbortSignal;
  connect(): Promise<Redis>;
  always(step: () => Promise<void>): Promise<void>;
  waiting<T>(redis: Redis, command: Promise<T>): Promise<T>;
}

async function listLoop({ key, ports, connect, always, waiting }: LoopContext): Promise<void> {
  const taken = `${key}:taken`;
  const first = await connect();
  /** Once, before any is taken: what a daemon left that ended while it answered them. */
  let restored: Promise<void> | null = null;
  const restore = (): Promise<void> => {
    restored ??= takeBack().catch((error: unknown) => {
      restored = null;
      throw error;
    });
    return restored;
  };
  const takeBack = async (): Promise<void> => {
    while ((await first.lmove(taken, key, "RIGHT", "LEFT")) !== null);
  };
  const one = async (redis: Redis): Promise<void> => {
    await restore();
    const message = await waiting(redis, redis.blmove(key, taken, "LEFT", "RIGHT", WAIT_S));
    if (message === null) return;
    try {
      await ports.answer(requestOf(message));
      await redis.lrem(taken, 1, message);
    } catch (error) {
      const back = isHopeless(error)
        ? redis.multi().rpush(`${key}:failed`, message)
        : redis.multi().lpush(key, message);
      await back.lrem(taken, 1, message).exec();
      throw error;
    }
  };
  await restore().catch((error: Error) => ports.trouble(error));
  await Promise.all(
    Array.from({ length: ports.concurrency }, async (_, index) => {
      const redis = index === 0 ? first : await connect();
      await always(() => one(redis));
    }),
  );
}

/** As the client library has an entry: id, and field, value, … */
type Entry = readonly [id: string, fields: readonly string[]];

async function streamLoop({ key, group, ports, connect, always, waiting }: LoopContext): Promise<void> {
  const consumer = `assistant-${process.pid}`;
  let isMade = false;
  const make = async (redis: Redis): Promise<void> => {
    if (isMade) return;
    await redis.xgroup("CREATE", key, group, "0", "MKSTREAM").catch((error: Error) => {
      if (!error.message.startsWith("BUSYGROUP")) throw error;
    });
    isMade = true;
  };
  const next = async (redis: Redis): Promise<Entry | undefined> => {
    const [, stale] = (await redis.xautoclaim(key, group, consumer, STALE_MS, "0", "COUNT", 1)) as [string, Entry[]];
    if (stale[0] !== undefined) return stale[0];
    const reading = redis.xreadgroup(
      ...(["GROUP", group, consumer, "COUNT", 1, "BLOCK", WAIT_S * 1000, "STREAMS", key, ">"] as const),
    );
    const read = (await waiting(redis, reading)) as [string, Entry[]][] | null;
    return read?.[0]?.[1][0];
  };
  /** Until it is answered: no other consumer would retry it before it is stale. */
  const settle = async (redis: Redis, [id, fields]: Entry): Promise<void> => {
    try {
      await ports.answer(requestOf(messageIn(fields)));
    } catch (error) {
      if (!isHopeless(error)) throw error;
      ports.trouble(error as Error);
    }
    await redis.xack(key, group, id);
  };
  await Promise.all(
    Array.from({ length: ports.concurrency }, async () => {
      const redis = await connect();
      let held: Entry | undefined;
      await always(async () => {
        await make(redis);
        held ??= await next(redis).catch((error: unknown) => {
          // The server may have lost the group with its data.
          isMade = false;
          throw error;
        });
        if (held === undefined) return;
        await settle(redis, held);
        held = undefined;
      });
    }),
  );
}

/** The field `value`, `text` or `message` of an entry, else all of them as an object. */
function messageIn(fields: readonly string[]): string {
  const table = Object.fromEntries(
    Array.from({ length: fields.length / 2 }, (_, index) => [fields[2 * index], fields[2 * index + 1]]),
  ) as Record<string, string>;
  return table["value"] ?? table["message"] ?? JSON.stringify(table);
}

async function channelLoop({ key, ports, signal, connect, always, waiting: until }: LoopContext): Promise<void> {
  const redis = await connect();
  const waiting: string[] = [];
  let running = 0;
  const work = (): void => {
    while (running < ports.concurrency && waiting.length > 0) {
      running += 1;
      void ports
        .answer(requestOf(waiting.shift() as string))
        .catch((error: Error) => ports.trouble(error))
        .finally(() => {
          running -= 1;
          work();
        });
    }
  };
  redis.on("message", (_, message) => {
    if (waiting.length >= MAX_WAITING)
      ports.trouble(new Error("messages arrive faster than they are answered; one was dropped"));
    else waiting.push(message);
    work();
  });
  await always(async () => {
    await until(redis, redis.subscribe(key));
    // From now on the library subscribes again after it has connected again.
    await pause(FOR_EVER_MS, signal);
  });
}
/** The longest that a timer can be set to. */
const FOR_EVER_MS = 2 ** 31 - 1;
/** Publishers on a channel cannot be slowed down. */
const MAX_WAITING = 1_000;
