import { ConsumerStatus } from "rabbitmq-client";
import type { SourceSettings } from "../../config/schema/stages.ts";
import { RabbitConnection } from "../rabbitmq.ts";
import { addressOf } from "../secrets.ts";
import { isHopeless, Pauses, requestOf, type Source, type SourcePorts } from "./source.ts";

/**
 * Messages of a queue. Each is acknowledged once its answer is complete; a failed one returns to the queue, one that
 * can never be answered goes to the queue's dead-letter exchange. `reply_to` receives the answer.
 */
export function rabbitmqSource(settings: SourceSettings["rabbitmq"], ports: SourcePorts): Source {
  const { queue, durable = true } = settings;
  const { concurrency } = ports;
  const connection = new RabbitConnection(addressOf(settings, ports.variable, "amqp://127.0.0.1"));
  const ending = new AbortController();
  const pauses = new Pauses(ending.signal);
  connection.on("error", (error: Error) => ports.trouble(error));
  const options = { queue, queueOptions: { queue, durable }, qos: { prefetchCount: concurrency }, concurrency };
  const consumer = connection.createConsumer(options, async ({ body, replyTo }, reply) => {
    try {
      const answer = await ports.answer(requestOf(textOf(body)));
      if (replyTo !== undefined) await reply(answer);
      pauses.succeeded();
      return ConsumerStatus.ACK;
    } catch (error) {
      ports.trouble(error as Error);
      if (isHopeless(error)) return ConsumerStatus.DROP;
      await pauses.failed();
      return ConsumerStatus.REQUEUE;
    }
  });
  consumer.on("error", (error: Error) => ports.trouble(error));
  return {
    async close() {
      ending.abort();
      await connection.end(consumer);
    },
  };
}

/** The library reads JSON and text by their content type. */
const textOf = (body: unknown): string =>
  typeof body === "string" ? body : Buffer.isBuffer(body) ? body.toString() : JSON.stringify(body);
