import type { IncomingMessage } from "node:http";
import type { ServerUnaryCall, ServerWritableStream, sendUnaryData } from "@grpc/grpc-js";
import type { AssistantHandlers, ForwardRequest, ForwardResponse, InfoResponse, LoadedService, Sent } from "../../api/assistant-service.ts";
import { AssistantError } from "../../core/errors.ts";
import { presentable } from "../front/error-body.ts";
import { keyOf } from "../front/keys.ts";
import { mayUse, requireScope } from "../front/rights.ts";
import type { GatewaySettings, Log } from "../ports.ts";
import { type InnerDoor, outgoing } from "./forward.ts";
import { errorOf, failureStatus, isFailure } from "./status.ts";

export interface HandlerOptions {
  readonly grpc: LoadedService["grpc"];
  readonly door: InnerDoor;
  readonly settings: () => GatewaySettings;
  readonly info: () => InfoResponse;
  readonly log: Log;
}

type Call = ServerUnaryCall<ForwardRequest, Sent<ForwardResponse>> | ServerWritableStream<ForwardRequest, Sent<ForwardResponse>>;

/** The three calls of assistant.AssistantService. Requests take the way of HTTP's: through the same guards to the same scheduler. */
export function makeHandlers(options: HandlerOptions): AssistantHandlers {
  const { grpc, settings, info, log } = options;
  return {
    forwardRequest: (call, callback) => forwardWhole(options, call, callback),
    forwardRequestStream: (call) => forwardStream(options, call),
    getInfo: (call, callback) => {
      try {
        const key = keyOf(call.metadata.get("authorization")[0]?.toString(), settings().apiKeys);
        requireScope(key, "inference");
        const told = info();
        const modelDetails = told.modelDetails.filter((model) => mayUse(key, model));
        callback(null, { ...told, models: modelDetails.map(({ name }) => name), modelDetails });
      } catch (thrown) {
        const error = presentable(thrown);
        if (error.code === "internal") log.error({ err: thrown }, "GetInfo failed");
        callback(failureStatus(grpc, error));
      }
    },
  };
}

function forwardWhole(
  { grpc, door }: HandlerOptions,
  call: ServerUnaryCall<ForwardRequest, Sent<ForwardResponse>>,
  callback: sendUnaryData<Sent<ForwardResponse>>,
): void {
  const fail = failOnce(call, (thrown) => callback(failureStatus(grpc, presentable(thrown))));
  begin(door, call, fail, (answer) => {
    const parts: Buffer[] = [];
    answer.on("data", (part: Buffer) => parts.push(part));
    answer.once("end", () => {
      const body = Buffer.concat(parts);
      const status = answer.statusCode ?? 500;
      if (isFailure(status)) fail(errorOf(status, body.toString(), answer.headers["retry-after"]));
      else callback(null, { status, headers: headersOf(answer), body });
    });
    answer.once("error", () => fail(brokenOff()));
  });
}

function forwardStream({ grpc, door }: HandlerOptions, call: ServerWritableStream<ForwardRequest, Sent<ForwardResponse>>): void {
  const fail = failOnce(call, (thrown) => call.emit("error", failureStatus(grpc, presentable(thrown))));
  begin(door, call, fail, (answer) => {
    const status = answer.statusCode ?? 500;
    if (isFailure(status)) {
      collectError(answer, status, fail);
      return;
    }
    call.write({ status, headers: headersOf(answer) });
    answer.on("data", (body: Buffer) => {
      // A reader that is slower than the model slows it down, as over HTTP.
      if (call.write({ body })) return;
      answer.pause();
      call.once("drain", () => answer.resume());
    });
    answer.once("end", () => call.end());
    answer.once("error", () => fail(brokenOff()));
  });
}

/** Sends a call on. Its caller's leaving and its deadline end the work, in every phase. */
function begin(door: InnerDoor, call: Call, fail: (thrown: unknown) => void, answered: (answer: IncomingMessage) => void): void {
  try {
    const sent = door.send(outgoing(call.request, call.metadata, remainingMs(call)), answered, (cause) =>
      fail(new AssistantError("shutting_down", "The daemon is stopping.", { cause })),
    );
    call.once("cancelled", () => sent.destroy());
    if (call.cancelled) sent.destroy();
  } catch (thrown) {
    fail(thrown);
  }
}

/** A broken connection is told in more than one way; a caller who has left is told nothing. */
function failOnce(call: Call, fail: (thrown: unknown) => void): (thrown: unknown) => void {
  let over = false;
  return (thrown) => {
    if (!over && !call.cancelled) fail(thrown);
    over = true;
  };
}

function collectError(answer: IncomingMessage, status: number, fail: (thrown: unknown) => void): void {
  const parts: Buffer[] = [];
  answer.on("data", (part: Buffer) => parts.push(part));
  answer.once("end", () => fail(errorOf(status, Buffer.concat(parts).toString(), answer.headers["retry-after"])));
  answer.once("error", () => fail(brokenOff()));
}

function remainingMs(call: Call): number | null {
  const deadline = Number(call.getDeadline());
  return Number.isFinite(deadline) ? deadline - Date.now() : null;
}

const HOP_BY_HOP = new Set(["connection", "keep-alive", "transfer-encoding"]);

function headersOf({ headers }: IncomingMessage): Record<string, string> {
  const sent: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers))
    if (value !== undefined && !HOP_BY_HOP.has(name)) sent[name] = Array.isArray(value) ? value.join(", ") : value;
  return sent;
}

const brokenOff = (): AssistantError => new AssistantError("engine_lost", "The answer broke off.", { remedy: "Send the request again." });
