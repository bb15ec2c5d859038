import type { IncomingHttpHeaders } from "node:http";
import type { FastifyInstance } from "fastify";
import type { CapabilityQuery } from "../../core/capability-query.ts";
import type { KeyScope } from "../../core/config.ts";
import type { AssistantError } from "../../core/errors.ts";
import type { AnswerSink, Caller, InferenceCall, WireFormat } from "../../core/inference.ts";
import type { Operation } from "../../core/model.ts";
import type { JsonSchema } from "../../core/schema.ts";
import type { Identity } from "./authorize.ts";
import type { RouteDescription } from "./describe.ts";
import type { LimitHeaders } from "./limit-headers.ts";
import type { RequestTarget } from "./target.ts";

/**
 * What a door reads from a body; the rest of a call is the same for all doors. Operation and wire format are the
 * route's where they are missing, the deadline is the one of the headers.
 */
export interface DecodedBody
  extends Pick<InferenceCall, "body" | "checked" | "prompt" | "streamed" | "maxTokens">,
    Partial<Pick<InferenceCall, "operation" | "wire" | "deadlineAt" | "reservation" | "hops">> {
  /** Name or alias of the model; "": the default one. */
  readonly model: string;
  /** Capabilities that what serves it has to offer. Missing: the body asks for none. */
  readonly capabilities?: CapabilityQuery;
  /**
   * Where the body was translated into the route's wire format from the door's own: the sink that takes the answer in
   * that format and writes it as the door's to the client's. Missing: they are the same.
   */
  readonly translate?: (client: AnswerSink) => AnswerSink;
  /**
   * Answers the call in the place of the core, which it may ask. Rejects with why it cannot. Missing: the core does.
   */
  readonly answer?: (call: InferenceCall, client: AnswerSink, identity: Identity) => Promise<void>;
  /** 0–100, where no header says it. Missing: the usual one. */
  readonly priority?: number;
}

/** A path on which a model is asked for something. */
export interface InferenceRoute {
  /** May hold parameters, `:name` for a segment and `*` for the rest. */
  readonly path: string;
  /** What the request log and metrics call it. */
  readonly name: string;
  readonly operation: Operation;
  readonly wire: WireFormat;
  readonly describe?: RouteDescription;
  /** Throws `unsupported_media_type`. Called before the body is read. */
  checkHeaders(headers: IncomingHttpHeaders): void;
  /** Throws an AssistantError that names the field, or rejects with one. */
  decode(
    bytes: Buffer,
    headers: IncomingHttpHeaders,
    target: RequestTarget,
    caller: Caller,
  ): DecodedBody | Promise<DecodedBody>;
}

/** One client's end of a WebSocket, as the door sees it. */
export interface SocketSession {
  /** A text message of the client. */
  message(text: string): void;
  /** What was sent has been taken; there is room again. */
  drained(): void;
  /** The connection is over. */
  closed(): void;
}

/** The way back to the client. */
export interface SocketPeer {
  send(text: string): void;
  /** Bytes that were sent and not yet taken. */
  readonly bufferedBytes: number;
}

/**
 * A path on which a WebSocket is opened. What opens it needs the door's scope. The door has a route for plain GET there
 * too.
 */
export interface SocketRoute {
  readonly path: string;
  open(peer: SocketPeer, identity: Identity): SocketSession;
}

/** One dialect's routes on a listener. */
export interface Door {
  readonly name: string;
  /** What a key needs for its routes. */
  readonly scope: KeyScope;
  /** A header of every answer that repeats the request's id, besides `x-request-id`. */
  readonly requestIdHeader?: string;
  /**
   * A header that its requests carry. Routes with `constraints: { [name]: name }` are for those alone, on paths that
   * another door has too.
   */
  readonly marker?: string;
  /** All of them take POST. */
  readonly inference: readonly InferenceRoute[];
  /** Default: none. */
  readonly sockets?: readonly SocketRoute[];
  /** The API key that a request carries, or null. */
  credential(headers: IncomingHttpHeaders): string | null;
  errorBody(error: AssistantError, requestId: string): object;
  /** Whether `errorBody` and `errorEvent` get the id of the request's trace, where there is one. */
  readonly namesTrace?: boolean;
  /** Of what `errorBody` returns. Default: OpenAI's. */
  readonly errorSchema?: JsonSchema;
  /** The same at the end of a stream that broke. */
  errorEvent(error: AssistantError, requestId: string): Buffer;
  /** For `/openapi.json`: its routes, but for those that describe themselves, by method and path. */
  readonly describe?: Readonly<Record<string, RouteDescription>>;
  /** How this dialect tells a key's limits. Default: as OpenAI's does. */
  readonly limitHeaders?: LimitHeaders;
  /** Adds the routes that answer from memory. One that needs another scope has it in its `config`. */
  register?(app: FastifyInstance): void;
}
