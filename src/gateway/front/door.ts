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
 * What a door reads from a body; the rest of a call is the same for all doors. Operation and wire format default to the
 * route's, the deadline to the headers'.
 */
export interface DecodedBody
  extends Pick<InferenceCall, "body" | "checked" | "prompt" | "streamed" | "maxTokens">,
    Partial<Pick<InferenceCall, "operation" | "wire" | "deadlineAt" | "reservation" | "hops">> {
  /** Name or alias of the model; "": the default one. */
  readonly model: string;
  /** Capabilities that the model must offer. Missing: the body names none. */
  readonly capabilities?: CapabilityQuery;
  /**
   * If the body was translated into the route's wire format: wraps the client's sink so that the answer is translated
   * back. Missing: the formats are the same.
   */
  readonly translate?: (client: AnswerSink) => AnswerSink;
  /**
   * Answers the call instead of the core, which it may call. Rejects with the reason of a failure. Missing: the core
   * answers.
   */
  readonly answer?: (call: InferenceCall, client: AnswerSink, identity: Identity) => Promise<void>;
  /** 0–100, if no header sets it. Missing: the default. */
  readonly priority?: number;
}

/** A path that calls a model. */
export interface InferenceRoute {
  /** May contain parameters, `:name` for a segment and `*` for the rest. */
  readonly path: string;
  /** Its name in the request log and metrics. */
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

/** One client's end of a WebSocket, from the door's perspective. */
export interface SocketSession {
  /** A text message of the client. */
  message(text: string): void;
  /** Sent data has been accepted; there is room again. */
  drained(): void;
  /** The connection is over. */
  closed(): void;
}

/** Sends to the client. */
export interface SocketPeer {
  send(text: string): void;
  /** Bytes that were sent and not yet accepted. */
  readonly bufferedBytes: number;
}

/** A path for opening a WebSocket, which requires the door's scope. The door also has a route for plain GET there. */
export interface SocketRoute {
  readonly path: string;
  open(peer: SocketPeer, identity: Identity): SocketSession;
}

/** The routes of one dialect on a listener. */
export interface Door {
  readonly name: string;
  /** The scope required for its routes. */
  readonly scope: KeyScope;
  /** A response header that repeats the request's id, in addition to `x-request-id`. */
  readonly requestIdHeader?: string;
  /**
   * A header of its requests. Routes with `constraints: { [name]: name }` are only for requests with it, on paths that
   * another door also has.
   */
  readonly marker?: string;
  /** All of them are POST routes. */
  readonly inference: readonly InferenceRoute[];
  /** Default: none. */
  readonly sockets?: readonly SocketRoute[];
  /** The API key of a request, or null. */
  credential(headers: IncomingHttpHeaders): string | null;
  errorBody(error: AssistantError, requestId: string): object;
  /** Whether `errorBody` and `errorEvent` receive the id of the request's trace, if there is one. */
  readonly namesTrace?: boolean;
  /** Content type of `errorBody`. Default: OpenAI's. */
  readonly errorSchema?: JsonSchema;
  /** The same at the end of a failed stream. */
  errorEvent(error: AssistantError, requestId: string): Buffer;
  /** For `/openapi.json`: its routes, except those that describe themselves, by method and path. */
  readonly describe?: Readonly<Record<string, RouteDescription>>;
  /** How this dialect reports a key's limits. Default: like OpenAI's. */
  readonly limitHeaders?: LimitHeaders;
  /** Adds the routes that answer from memory. A route that requires another scope has it in its `config`. */
  register?(app: FastifyInstance): void;
}
