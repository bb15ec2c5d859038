import { type IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { RawData, WebSocket } from "ws";
import { AssistantError, isAssistantError, presentable } from "../../core/errors.ts";
import { newRequestId } from "../../core/ids.ts";
import type { GatewaySettings } from "../ports.ts";
import { type Authorizer, type Identity, LOCAL } from "./authorize.ts";
import type { Door, SocketRoute } from "./door.ts";
import { makeGuard } from "./guard.ts";
import { noteRefusal, type RefusalPorts } from "./refusals.ts";
import { sendError } from "./send-error.ts";
import { parseTarget, queryOf } from "./target.ts";

export interface SocketsOptions extends RefusalPorts {
  readonly doors: readonly Door[];
  readonly authorizer: Authorizer;
  readonly settings: () => GatewaySettings;
  /** Default: `SOCKET_LIMITS`. */
  readonly limits?: SocketLimits;
}

export interface SocketLimits {
  /** Concurrent ones, over all addresses of a gateway. */
  readonly connections: number;
  /** Size of a client's message. */
  readonly messageBytes: number;
  /** Above this, the client's own messages are not read until it has accepted what it was sent. */
  readonly bufferedBytes: number;
  /** Interval of checking keys. */
  readonly checkEveryMs: number;
  /** Interval of pings. A client that answers none until the next one is disconnected. */
  readonly pingEveryMs: number;
}

export const SOCKET_LIMITS: SocketLimits = {
  connections: 64,
  messageBytes: 64 * 1024,
  bufferedBytes: 1024 * 1024,
  checkEveryMs: 1_000,
  pingEveryMs: 30_000,
};

/** Close codes of RFC 6455. */
const GOING_AWAY = 1001;
const NOT_TEXT = 1003;
const NOT_ALLOWED = 1008;
/** A client that does not answer a close is disconnected. */
const CLOSE_GRACE_MS = 1_000;
const MAX_REASON_BYTES = 120;

interface Connection {
  readonly socket: WebSocket;
  /** Throws if the key with which it was opened is no longer valid. */
  readonly check: () => void;
  pingedAt: number;
  hasAnswered: boolean;
}

/** The WebSockets of a gateway: who may open one, and how long it lasts. The same keys and guards apply as for HTTP. */
export class Sockets {
  readonly #options: SocketsOptions;
  readonly #limits: SocketLimits;
  readonly #routes: ReadonlyMap<string, { readonly door: Door; readonly route: SocketRoute }>;
  readonly #connections = new Set<Connection>();
  readonly #guard: ReturnType<typeof makeGuard>;
  #opening = 0;
  #timer: NodeJS.Timeout | null = null;
  #isClosed = false;

  constructor(options: SocketsOptions) {
    this.#options = options;
    this.#limits = options.limits ?? SOCKET_LIMITS;
    this.#guard = makeGuard(options.settings);
    const routes = options.doors.flatMap((door) => (door.sockets ?? []).map((route) => ({ door, route })));
    this.#routes = new Map(routes.map((each) => [each.route.path, each]));
  }

  /** Whether a request is for one of the WebSockets. Requests for other protocols are answered over HTTP. */
  readonly wants = ({ method, headers, url = "" }: IncomingMessage): boolean =>
    method === "GET" && headers.upgrade?.toLowerCase() === "websocket" && this.#find(url) !== undefined;

  /** Takes over the connection of a request. `guarded`: it arrived over a network address. */
  upgrade(request: IncomingMessage, stream: Duplex, head: Buffer, guarded: boolean): void {
    const found = this.#find(request.url ?? "");
    if (found === undefined) return void stream.destroy();
    const { door, route } = found;
    // Until it has another listener.
    stream.on("error", () => stream.destroy());
    try {
      if (this.#isClosed) throw new AssistantError("shutting_down", "The daemon is stopping.");
      const identify = guarded ? this.#identifier(request, door) : () => LOCAL;
      const identity = identify();
      const { connections } = this.#limits;
      if (this.#connections.size + this.#opening >= connections)
        throw new AssistantError("queue_full", `${connections} WebSockets are open, which is the maximum.`, {
          remedy: "Close one.",
        });
      this.#open(request, stream, head, { route, identity, check: identify }).catch((error: unknown) =>
        this.#refuse(request, stream as Socket, door, presentable(error)),
      );
    } catch (thrown) {
      this.#refuse(request, stream as Socket, door, presentable(thrown));
    }
  }

  /** Closes all of them; with `now`, without a close frame. */
  close({ now }: { readonly now: boolean }): void {
    this.#isClosed = true;
    for (const { socket } of this.#connections)
      if (now) socket.terminate();
      else end(socket, GOING_AWAY, "the daemon is stopping");
  }

  #find(url: string): { readonly door: Door; readonly route: SocketRoute } | undefined {
    try {
      return this.#routes.get(parseTarget(url).path);
    } catch {
      return undefined;
    }
  }

  /** Checks the guards, and returns a function that checks the key, now and later. */
  #identifier(request: IncomingMessage, door: Door): () => Identity {
    const { authorizer } = this.#options;
    const target = parseTarget(request.url ?? "");
    this.#guard(request, target);
    // Browsers cannot set a header.
    const credential = door.credential(request.headers) ?? queryOf(target).get("api_key");
    const { socket } = request;
    return () => authorizer.authorize(credential, door.scope, socket);
  }

  async #open(
    request: IncomingMessage,
    stream: Duplex,
    head: Buffer,
    { route, identity, check }: { route: SocketRoute; identity: Identity; check: () => void },
  ): Promise<void> {
    this.#opening++;
    // The library is loaded for the first client.
    const { WebSocketServer } = await import("ws").finally(() => this.#opening--);
    const { messageBytes } = this.#limits;
    const server = new WebSocketServer({
      noServer: true,
      maxPayload: messageBytes,
      perMessageDeflate: false,
      // Messages are sent through `answering`, which counts how many are pending.
      autoPong: false,
      // One message of a client at a time, so that a client that sends many does not block the others.
      allowSynchronousEvents: false,
      clientTracking: false,
    });
    server.handleUpgrade(request, stream, head, (socket) => this.#opened(socket, stream, { route, identity, check }));
  }

  #opened(
    socket: WebSocket,
    stream: Duplex,
    { route, identity, check }: { route: SocketRoute; identity: Identity; check: () => void },
  ): void {
    const { bufferedBytes } = this.#limits;
    const connection: Connection = { socket, check, pingedAt: Date.now(), hasAnswered: true };
    this.#connections.add(connection);
    this.#timer ??= setInterval(() => this.#look(), this.#limits.checkEveryMs).unref();
    const session = route.open(
      {
        send: (text) => socket.send(text),
        get bufferedBytes() {
          return socket.bufferedAmount;
        },
      },
      identity,
    );
    // Messages of a client that does not read its answers are not processed until it does.
    const answering = (answer: () => void): void => {
      answer();
      if (socket.bufferedAmount > bufferedBytes) socket.pause();
    };
    stream.on("drain", () => {
      if (socket.isPaused) socket.resume();
      session.drained();
    });
    socket.on("message", (data, isBinary) => {
      if (isBinary) end(socket, NOT_TEXT, "messages must be text");
      else answering(() => session.message(textOf(data)));
    });
    socket.on("ping", (data) => answering(() => socket.pong(data)));
    socket.on("pong", () => {
      connection.hasAnswered = true;
    });
    // `close` follows with the reason.
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#connections.delete(connection);
      if (this.#connections.size === 0 && this.#timer !== null) {
        clearInterval(this.#timer);
        this.#timer = null;
      }
      session.closed();
    });
    if (this.#isClosed) end(socket, GOING_AWAY, "the daemon is stopping");
  }

  /** Closes connections whose key is no longer valid, or whose client is gone. */
  #look(): void {
    const now = Date.now();
    for (const connection of this.#connections) {
      const { socket, check } = connection;
      try {
        check();
      } catch (error) {
        end(socket, NOT_ALLOWED, isAssistantError(error) ? error.message : "the API key cannot be checked");
        continue;
      }
      if (now - connection.pingedAt < this.#limits.pingEveryMs) continue;
      if (!connection.hasAnswered) {
        socket.terminate();
        continue;
      }
      connection.pingedAt = now;
      connection.hasAnswered = false;
      if (socket.readyState === socket.OPEN) socket.ping();
    }
  }

  #refuse(request: IncomingMessage, socket: Socket, door: Door, error: AssistantError): void {
    const id = newRequestId();
    const path = (request.url ?? "").split("?")[0] ?? "";
    noteRefusal(this.#options, { id, method: request.method, path }, error);
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    response.assignSocket(socket);
    response.once("finish", () => socket.end());
    sendError(response, error, door.errorBody(error, id), ["x-request-id", id]);
  }
}

function end(socket: WebSocket, code: number, reason: string): void {
  if (socket.readyState !== socket.OPEN) return;
  socket.close(code, Buffer.from(reason).subarray(0, MAX_REASON_BYTES).toString());
  setTimeout(() => socket.terminate(), CLOSE_GRACE_MS).unref();
}

const textOf = (data: RawData): string =>
  (Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data as Buffer)).toString();
