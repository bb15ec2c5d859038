import { connect, type Socket } from "node:net";
import { connectOptions, type Endpoint } from "../../core/endpoint.ts";
import { writeAtTurnEnd } from "../../core/turn-end.ts";

/** The current user of a connection. */
export interface ConnectionUser {
  /** Bytes to keep. False pauses reading until `resume`. */
  read(bytes: Buffer): boolean;
  /** The connection is over; null: closed normally by the engine. Called once. */
  ended(failure: NodeJS.ErrnoException | null): void;
}

// All connections read into one buffer: a read and its callback are one step of the event loop on Unix, and the
// callback copies what it keeps. A new buffer for every read costs several times the copy of a few hundred bytes.
const readBuffer = Buffer.allocUnsafeSlow(64 * 1024);

/** A connection to an engine. */
export class Connection {
  readonly endpoint: Endpoint;
  readonly #socket: Socket;
  #user: ConnectionUser | null;
  #over = false;
  connected = false;
  /** It has been used for an earlier answer. */
  used = false;
  idleSince = 0;

  constructor(endpoint: Endpoint, user: ConnectionUser) {
    this.endpoint = endpoint;
    this.#user = user;
    this.#socket = connect({
      ...connectOptions(endpoint),
      onread: { buffer: readBuffer, callback: (count) => this.#read(count) },
    });
    this.#socket.once("connect", () => {
      this.connected = true;
    });
    this.#socket.once("end", () => this.#end(null));
    this.#socket.once("error", (error) => this.#end(error));
    this.#socket.once("close", () => this.#end(null));
  }

  get over(): boolean {
    return this.#over;
  }

  write(bytes: Buffer): void {
    writeAtTurnEnd(this.#socket);
    this.#socket.write(bytes);
  }
  resume(): void {
    this.#socket.resume();
  }
  /** Assigns the connection to a user; null leaves it idle. */
  use(user: ConnectionUser | null): void {
    this.#user = user;
  }
  /** Closes it without notifying its user. */
  destroy(): void {
    this.#over = true;
    this.#user = null;
    this.#socket.destroy();
  }

  #read(count: number): boolean {
    if (this.#user !== null) {
      const bytes = Buffer.allocUnsafe(count);
      readBuffer.copy(bytes, 0, 0, count);
      return this.#user.read(bytes);
    }
    // Unexpected bytes, which must not become part of the next answer.
    this.destroy();
    return true;
  }

  #end(failure: NodeJS.ErrnoException | null): void {
    if (this.#over) return;
    const user = this.#user;
    this.destroy();
    user?.ended(failure);
  }
}

/** Engines close idle connections after seconds; ours are closed long before, so that the two never coincide. */
const MAX_IDLE_MS = 1_000;
const idle = new Map<string, Connection[]>();
let sweeper: NodeJS.Timeout | null = null;

/** An idle connection, most recently used first, or a new one. */
export function takeConnection(endpoint: Endpoint, user: ConnectionUser): Connection {
  const waiting = idle.get(endpoint);
  for (let kept = waiting?.pop(); kept !== undefined; kept = waiting?.pop()) {
    if (kept.over || performance.now() - kept.idleSince > MAX_IDLE_MS) {
      kept.destroy();
      continue;
    }
    kept.use(user);
    return kept;
  }
  return new Connection(endpoint, user);
}

/** Keeps a connection whose last answer was read to its exact end. */
export function keepConnection(connection: Connection): void {
  if (connection.over) return;
  connection.use(null);
  connection.used = true;
  connection.idleSince = performance.now();
  const waiting = idle.get(connection.endpoint);
  if (waiting === undefined) idle.set(connection.endpoint, [connection]);
  else waiting.push(connection);
  sweeper ??= setInterval(sweep, MAX_IDLE_MS).unref();
}

function sweep(): void {
  const now = performance.now();
  for (const [endpoint, waiting] of idle) {
    const fresh = waiting.filter((connection) => !connection.over && now - connection.idleSince <= MAX_IDLE_MS);
    for (const connection of waiting) if (!fresh.includes(connection)) connection.destroy();
    if (fresh.length === 0) idle.delete(endpoint);
    else idle.set(endpoint, fresh);
  }
  if (idle.size > 0 || sweeper === null) return;
  clearInterval(sweeper);
  sweeper = null;
}
