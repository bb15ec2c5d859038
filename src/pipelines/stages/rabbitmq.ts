import type { Publisher } from "rabbitmq-client";
import type { StageSettings } from "../../config/schema/stages.ts";
import type { RabbitConnection } from "../rabbitmq.ts";
import { addressOf, type ReadVariable } from "../secrets.ts";
import { failed } from "../service.ts";
import type { Stage } from "../stage.ts";

const SERVICE = "RabbitMQ";
const CONFIRM_MS = 30_000;

/** Publishes each value, and passes it on once the broker has confirmed it. */
export function rabbitmqStage(settings: StageSettings["rabbitmq"], read: ReadVariable): Stage {
  const { exchange = "", routing_key: routingKey, type = "text" } = settings;
  const address = addressOf(settings, read, "amqp://127.0.0.1");
  let open: Promise<{ readonly connection: RabbitConnection; readonly publisher: Publisher }> | null = null;
  const connect = async () => {
    const { RabbitConnection } = await import("../rabbitmq.ts");
    const connection = new RabbitConnection(address);
    // It reconnects automatically; publishing waits meanwhile, and fails if that takes too long.
    connection.on("error", () => {});
    return { connection, publisher: connection.createPublisher({ confirm: true, maxAttempts: 2 }) };
  };
  const publish = async (value: unknown): Promise<void> => {
    open ??= connect();
    const { publisher } = await open;
    try {
      const sent = publisher.send(
        { exchange, routingKey, durable: true },
        value instanceof Uint8Array ? Buffer.from(value) : value,
      );
      await within(CONFIRM_MS, sent);
    } catch (error) {
      throw failed({ service: SERVICE }, `took no message: ${(error as Error).message}`, error);
    }
  };
  return {
    accepts: type,
    emits: type,
    isSink: true,
    async *run(input) {
      for await (const next of input) {
        await publish(next);
        yield { next };
      }
    },
    async heartbeat() {
      open ??= connect();
      const { connection } = await open;
      await connection.connected().catch((error: Error) => {
        throw failed({ service: SERVICE }, `does not answer: ${error.message}`, error);
      });
    },
    async close() {
      const opened = await open?.catch(() => null);
      open = null;
      await opened?.connection.end(opened.publisher);
    },
  };
}

async function within(ms: number, work: Promise<void>): Promise<void> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`it was not confirmed within ${ms / 1000} s`)), ms);
  try {
    await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}
