import type { Redis } from "ioredis";
import type { StageSettings } from "../../config/schema/stages.ts";
import { textOf } from "../path.ts";
import { connectRedis, DEFAULT_REDIS, placeOf, redisFailed } from "../redis.ts";
import { addressOf, type ReadVariable } from "../secrets.ts";
import type { Stage } from "../stage.ts";

/** Adds each value to a list or a stream, or publishes it on a channel, and passes it on. */
export function redisStage(settings: StageSettings["redis"], read: ReadVariable): Stage {
  const { type, key } = placeOf(settings);
  const address = addressOf(settings, read, DEFAULT_REDIS);
  const values = settings.type ?? "text";
  let open: Promise<Redis> | null = null;
  const redis = (): Promise<Redis> => {
    open ??= connectRedis(address);
    return open;
  };
  const send = async (value: unknown, requestId: string): Promise<void> => {
    const connection = await redis();
    const text = value instanceof Uint8Array ? Buffer.from(value) : textOf(value);
    if (type === "list") await connection.rpush(key, text);
    else if (type === "channel") await connection.publish(key, text);
    else await connection.xadd(key, "*", "value", text, "request_id", requestId);
  };
  return {
    accepts: values,
    emits: values,
    isSink: true,
    async *run(input, { requestId }) {
      for await (const next of input) {
        await send(next, requestId).catch((error: unknown) => {
          throw redisFailed(error);
        });
        yield { next };
      }
    },
    async heartbeat() {
      await (await redis()).ping().catch((error: unknown) => {
        throw redisFailed(error);
      });
    },
    async close() {
      (await open)?.disconnect();
      open = null;
    },
  };
}
