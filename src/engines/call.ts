import { request } from "node:http";
import { type Endpoint, requestOptions } from "../core/endpoint.ts";
import { AssistantError } from "../core/errors.ts";

/** Far larger than any expected response; an endpoint that sends more is not an engine. */
const MAX_ANSWER_BYTES = 16 * 2 ** 20;

/** A body of any type. */
export class Payload {
  readonly type: string;
  readonly bytes: Buffer;

  constructor(type: string, bytes: Buffer) {
    this.type = type;
    this.bytes = bytes;
  }
}

const jsonPayload = (body: object): Payload => new Payload("application/json", Buffer.from(JSON.stringify(body)));

/**
 * Calls an engine. A new connection each time: a kept one may be stale, and on this machine a new one costs
 * microseconds.
 */
export function callEngine(
  endpoint: Endpoint,
  method: string,
  path: string,
  body: object | Payload | null,
  signal: AbortSignal,
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const payload = body === null || body instanceof Payload ? body : jsonPayload(body);
    const content = payload === null ? {} : { "content-type": payload.type, "content-length": payload.bytes.length };
    const headers = { ...content, connection: "close", host: "localhost" };
    const outgoing = request(
      { ...requestOptions(endpoint), method, path, signal, agent: false, headers },
      (response) => {
        const chunks: Buffer[] = [];
        let size = 0;
        response.on("data", (chunk: Buffer) => {
          size += chunk.length;
          if (size > MAX_ANSWER_BYTES) outgoing.destroy(new Error(`the engine's answer to ${path} does not end`));
          else chunks.push(chunk);
        });
        response.on("error", reject);
        response.on("end", () =>
          resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString("utf8") }),
        );
      },
    );
    outgoing.on("error", reject);
    outgoing.on("upgrade", (_, socket) => {
      socket.destroy();
      reject(new Error(`the engine answers ${path} in another protocol than HTTP`));
    });
    outgoing.end(payload?.bytes);
  });
}

/** Null where it is not JSON. */
export function parseAnswer(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

export const unexpectedAnswer = (path: string, status: number, body: string): AssistantError =>
  new AssistantError("engine_error", `The engine answered ${path} with status ${status}: ${body.slice(0, 300)}`);
