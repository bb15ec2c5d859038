import type { ServerUnaryCall } from "@grpc/grpc-js";
import type { WireInferRequest, WireInferResponse } from "../../api/inference-service.ts";
import { Cancellation } from "../../core/cancellation.ts";
import { presentable } from "../../core/errors.ts";
import { newRequestId } from "../../core/ids.ts";
import type { CallOrigin, InferenceCall, JsonObject } from "../../core/inference.ts";
import { CallerGone } from "../../core/upstream.ts";
import { answerOf } from "../../inference/collect.ts";
import { EventSink } from "../../inference/events.ts";
import { bodyOfMessage, messageOfAnswer, messageOfJson } from "../../upstreams/kserve/codec.ts";
import type { AnswerTensors } from "../doors/kserve/answer.ts";
import { headBytesIn } from "../doors/kserve/buffered-sink.ts";
import { decodeInfer } from "../doors/kserve/decode.ts";
import { handlerCall, isHandler } from "../doors/kserve/handler.ts";
import { withoutCapability } from "../doors/kserve/request.ts";
import type { Identity } from "../front/authorize.ts";
import { callHeaders } from "../front/call-headers.ts";
import { clientIdOf } from "../front/client-ids.ts";
import { noteRefusal } from "../front/refusals.ts";
import { selectorOf } from "../front/selector.ts";
import { beginCall } from "./call-span.ts";
import { type ForwardOptions, stateDeadline } from "./forward.ts";
import { inferRequestOf, inferResponseOf, parametersOf } from "./inference-wire.ts";

export interface GrpcCall
  extends Pick<ServerUnaryCall<unknown, unknown>, "metadata" | "cancelled" | "getDeadline" | "getPath"> {
  once(event: "cancelled", listener: () => void): unknown;
  off(event: "cancelled", listener: () => void): unknown;
}

/** Where the parts of a streamed answer go. */
export interface PartWriter {
  /** False: no more until `onDrain` has called back. */
  write(part: WireInferResponse): boolean;
  onDrain(callback: () => void): void;
}

/** A request on its way into the core. */
interface Decoded {
  readonly call: InferenceCall;
  /** Null: a handler's own tensors are passed on. */
  readonly answer: AnswerTensors | null;
}

/** The answer to a request, in one piece. Rejects with why there is none, or with `CallerGone`. */
export const infer = (
  options: ForwardOptions,
  call: GrpcCall,
  identity: Identity,
  message: WireInferRequest,
): Promise<WireInferResponse> =>
  served(options, call, identity, message, false, (decoded) => whole(options, decoded, isRaw(message)));

/** The same part by part; the last one is returned, or null where a handler has sent all of them. */
export const inferStreamed = (
  options: ForwardOptions,
  call: GrpcCall,
  identity: Identity,
  message: WireInferRequest,
  writer: PartWriter,
): Promise<WireInferResponse | null> =>
  served(options, call, identity, message, true, async (decoded) => {
    const { answer } = decoded;
    if (!decoded.call.streamed) {
      const response = await whole(options, decoded, isRaw(message));
      return { ...response, parameters: { triton_final_response: { boolParam: true } } };
    }
    const event = (chunk: JsonObject): boolean => {
      if (answer === null) return writer.write(messageOfJson(chunk, isRaw(message)));
      const part = answer.chunk(chunk);
      return part === null || writer.write(inferResponseOf(part, isRaw(message)));
    };
    const sink = new EventSink({ event, onDrain: (callback) => writer.onDrain(callback) });
    await options.inference.run(decoded.call, sink);
    await sink.ended;
    return answer === null ? null : inferResponseOf(answer.end(), isRaw(message));
  });

const isRaw = ({ rawInputContents }: WireInferRequest): boolean => rawInputContents.length > 0;

async function whole(
  { inference }: ForwardOptions,
  { call, answer }: Decoded,
  isRaw: boolean,
): Promise<WireInferResponse> {
  const { body, headers } = await answerOf(inference, call);
  return answer === null
    ? messageOfAnswer(body, headBytesIn(headers) ?? body.length, isRaw)
    : inferResponseOf(answer.whole(JSON.parse(body.toString()) as JsonObject), isRaw);
}

/**
 * Admits a request, reads it and has it answered. The caller's disconnecting and its deadline end the work, in every
 * phase.
 */
async function served<T>(
  options: ForwardOptions,
  call: GrpcCall,
  identity: Identity,
  message: WireInferRequest,
  streams: boolean,
  answer: (decoded: Decoded) => Promise<T>,
): Promise<T> {
  const { authorizer, routes, tracer } = options;
  const cancellation = new Cancellation();
  const leave = (): void => cancellation.cancel(new CallerGone());
  const headers = headersOf(call);
  const clientId = clientIdOf(headers);
  const { caller } = identity;
  const id = newRequestId();
  const span = beginCall(tracer, call.getPath(), headers, { id });
  const origin = {
    id,
    span,
    clientId,
    caller,
    route: call.getPath(),
    arrivedAt: performance.now(),
    cancellation,
  };
  const ended = admit(options, call, () => authorizer.admit(identity));
  call.once("cancelled", leave);
  if (call.cancelled) leave();
  if (clientId !== null) routes.clientIds.begin(caller.tenant, clientId, origin.id);
  try {
    return await answer(await decode(options, origin, headers, message, streams));
  } finally {
    call.off("cancelled", leave);
    if (clientId !== null) routes.clientIds.end(caller.tenant, clientId, origin.id);
    ended?.();
    span?.end();
  }
}

/** Rejects with what is wrong with the request, which has its line in the log then. */
async function decode(
  { inference, routes: { kserve } }: ForwardOptions,
  origin: CallOrigin,
  headers: Readonly<Record<string, string>>,
  message: WireInferRequest,
  streams: boolean,
): Promise<Decoded> {
  try {
    const target = kserve.target(namedIn(message), headers);
    const { call, answer } = isHandler(target.spec)
      ? { call: handlerCall(target, bodyOfMessage(message, parametersIn(message), streams), streams), answer: null }
      : decodeInfer(inferRequestOf(message), target.spec, streams);
    const { model, capabilities, priority, ...decoded } = call;
    const asked = capabilities === undefined ? { model } : { model, capabilities };
    const selector = selectorOf(headers, asked, kserve.onlyModels);
    const headed = callHeaders(headers, call.streamed, priority ?? origin.caller.priority);
    return { call: { ...origin, selector, ...headed, ...decoded }, answer };
  } catch (error) {
    const sink = new EventSink({ event: () => true, onDrain: () => {} });
    inference.refuse(origin, sink, error);
    await sink.ended;
    throw error;
  }
}

/** What a message names, before its tensors are looked at. Throws why it was not decoded. */
function namedIn({ modelName: model, modelVersion: version, parameters, refused: reason }: WireInferRequest) {
  if (reason !== undefined) throw reason;
  const { capabilities } = withoutCapability(parametersOf(parameters));
  return { model, version, ...(capabilities === undefined ? {} : { capabilities }) };
}

const parametersIn = ({ parameters }: WireInferRequest): JsonObject =>
  withoutCapability(parametersOf(parameters)).parameters;

function admit<T>(options: ForwardOptions, call: GrpcCall, work: () => T): T {
  try {
    return work();
  } catch (error) {
    refused(options, call, error);
    throw error;
  }
}

/** Counts and logs a call that the guards refuse. */
export const refused = (options: ForwardOptions, call: GrpcCall, error: unknown): void =>
  noteRefusal(
    options,
    { id: newRequestId(), clientId: clientIdOf(headersOf(call)), method: "POST", path: call.getPath() },
    presentable(error),
  );

/** The metadata as headers, and the deadline among them. */
function headersOf(call: GrpcCall): Record<string, string> {
  const texts = Object.entries(call.metadata.getMap()).filter(
    (entry): entry is [string, string] => typeof entry[1] === "string",
  );
  const headers = Object.fromEntries(texts);
  stateDeadline(call, headers);
  return headers;
}
