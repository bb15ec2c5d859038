import { createParser, type EventSourceParser } from "eventsource-parser";
import { AssistantError } from "../../core/errors.ts";
import type { JsonObject } from "../../core/inference.ts";
import type { AnswerFacts } from "../../core/upstream.ts";
import { Aggregate } from "../answer/aggregate.ts";
import { ChunkDecoder } from "../answer/chunked.ts";
import { engineErrorOf } from "../answer/engine-error.ts";
import { type AnswerTarget, type Framing, type Receiver, SSE_HEADERS, truncated, type Verdict } from "../answer/receivers.ts";
import { readFacts, Tail } from "../answer/tail.ts";

/**
 * A stock llama-server looks whether its client is still there only when it has something to write. So it is always
 * asked to stream, with a progress event for every batch of the prompt; what the client did not ask for is taken out
 * of the stream again, or the stream is put together into one answer.
 */
export interface StockDrive {
  readonly operation: "chat" | "completion";
  /** The client asked for a stream. */
  readonly streamed: boolean;
  /** The client asked for usage in the stream. */
  readonly wantsUsage: boolean;
  /** The client asked for the progress events. */
  readonly wantsProgress: boolean;
}

/**
 * What is added to a request's body for such an engine. Throws `invalid_request` where it names a slot: a llama-server
 * without our patches loads a cached prompt over the state of whoever is in that slot, whose answer goes on about it.
 */
export function driveBody(body: JsonObject): JsonObject {
  if (typeof body["id_slot"] === "number" && body["id_slot"] >= 0) {
    throw new AssistantError("invalid_request", "`id_slot` cannot be used with this engine, a llama-server that the daemon has not built.", {
      param: "id_slot",
      remedy: "Leave it out, and the conversation finds its slot by itself; or run `assistant engine build`.",
    });
  }
  const options = typeof body["stream_options"] === "object" && body["stream_options"] !== null ? body["stream_options"] : {};
  return { ...body, stream: true, stream_options: { ...options, include_usage: true }, return_progress: true };
}

interface ParsedEvent {
  readonly error?: { readonly code?: unknown };
  readonly prompt_progress?: unknown;
  readonly choices?: readonly unknown[];
  readonly usage?: unknown;
}

/** Takes the answer of an engine that was driven so. */
export class StockReceiver implements Receiver {
  readonly #drive: StockDrive;
  readonly #target: AnswerTarget;
  readonly #decoder: ChunkDecoder | null;
  readonly #parser: EventSourceParser;
  readonly #text = new TextDecoder("utf-8");
  readonly #aggregate: Aggregate;
  readonly #tail = new Tail();
  begun = false;
  #finished = false;
  #flowing = true;

  constructor(drive: StockDrive, target: AnswerTarget, framing: Framing) {
    this.#drive = drive;
    this.#target = target;
    this.#decoder = framing.type === "chunked" ? new ChunkDecoder() : null;
    this.#aggregate = new Aggregate(drive.operation);
    this.#parser = createParser({ onEvent: (event) => this.#event(event.data) });
  }

  body(bytes: Buffer): Verdict {
    this.#flowing = true;
    for (const piece of this.#decoder?.push(bytes) ?? [bytes]) {
      this.#tail.push(piece);
      this.#parser.feed(this.#text.decode(piece, { stream: true }));
    }
    if (this.#decoder?.done) {
      this.closed();
      return "done";
    }
    return this.#flowing ? "more" : "pause";
  }

  closed(): void {
    if (!this.#finished) throw truncated();
    const { sink, headers } = this.#target;
    if (this.#drive.streamed) {
      sink.end();
      return;
    }
    const whole = this.#aggregate.result();
    if (whole === null) throw truncated();
    const json = Buffer.from(JSON.stringify(whole));
    sink.head(200, ["Content-Type", "application/json; charset=utf-8", ...headers], json.length);
    sink.end(json);
  }

  facts(): AnswerFacts {
    return readFacts(this.#tail.bytes());
  }
  betweenEvents(): boolean {
    return true;
  }
  dispose(): void {
    this.#tail.release();
  }

  #event(data: string): void {
    if (data === "[DONE]") {
      this.#finished = true;
      if (this.#drive.streamed) this.#send(data);
      return;
    }
    const event = this.#parse(data);
    if (event.error !== undefined) {
      throw engineErrorOf(typeof event.error.code === "number" ? event.error.code : 500, event as { error: { message?: unknown } }, this.#target.model);
    }
    if (event.prompt_progress === undefined) this.begun = true;
    else if (!this.#drive.wantsProgress) return;
    if (!this.#drive.streamed) this.#aggregate.add(event as Parameters<Aggregate["add"]>[0]);
    else if (event.usage === undefined || this.#drive.wantsUsage) this.#send(data);
    // Usage that nobody asked for: a chunk of its own in a chat, a field of the last chunk in a completion.
    else if (event.choices?.length !== 0) this.#send(JSON.stringify({ ...event, usage: undefined }));
  }

  #parse(data: string): ParsedEvent {
    try {
      return JSON.parse(data) as ParsedEvent;
    } catch {
      throw new AssistantError("engine_error", `The engine of "${this.#target.model}" sent an event that is not JSON: ${JSON.stringify(data.slice(0, 80))}.`);
    }
  }

  #send(data: string): void {
    const { sink, headers } = this.#target;
    sink.head(200, ["Content-Type", "text/event-stream", ...SSE_HEADERS, ...headers]);
    this.#flowing = sink.chunk(Buffer.from(`data: ${data}\n\n`)) && this.#flowing;
  }
}
