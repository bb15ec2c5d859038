import type { ServerUnaryCall, ServerWritableStream } from "@grpc/grpc-js";
import type { LoadedService } from "../../api/assistant-service.ts";
import type { FetchPart, FetchRequest, ModelHandlers } from "../../api/model-service.ts";
import { AssistantError, presentable } from "../../core/errors.ts";
import type { Caller } from "../../core/inference.ts";
import type { Log } from "../../inference/ports.ts";
import { requireModel } from "../../inference/resolve.ts";
import type { Authorizer } from "../front/authorize.ts";
import { bearerOf } from "../front/keys.ts";
import { failureStatus } from "./status.ts";

/** Weights that may be handed out. */
interface ShelfModel {
  readonly name: string;
  readonly bytes: number;
  /** Lower-case hex. */
  readonly sha256: string;
  readonly reference: string | null;
  readonly licence: string | null;
  /** Of a model of several files; null: `bytes` and `sha256` are those of the one file. */
  readonly files: readonly ShelfFile[] | null;
}

interface ShelfFile {
  readonly name: string;
  readonly role: string;
  readonly bytes: number;
  readonly sha256: string;
}

export interface Shelf {
  /** By name or alias. Rejects with `model_not_found`, `model_not_pulled`, or the signal's reason. */
  find(nameOrAlias: string, signal: AbortSignal): Promise<ShelfModel>;
  /** The bytes of the file with this digest of what `find` gave. Ending the iteration lets the file go. */
  read(model: ShelfModel, sha256: string, offset: number): AsyncIterable<Buffer>;
}

export interface ModelHandlerOptions {
  readonly grpc: LoadedService["grpc"];
  readonly shelf: Shelf;
  readonly authorizer: Authorizer;
  readonly log: Log;
  /** A caller that takes nothing for so long is taken to be gone, milliseconds. */
  readonly stallMs?: number;
}

const STALL_MS = 60_000;

type Call = Pick<ServerUnaryCall<unknown, unknown>, "metadata" | "cancelled" | "once">;

/** The two calls of assistant.ModelService. */
export function makeModelHandlers(options: ModelHandlerOptions): ModelHandlers {
  const { grpc } = options;
  return {
    describe: (call, callback) => {
      const gone = departure(call);
      const answer = async (): Promise<void> => {
        const model = await find(options, call, call.request.model, gone);
        callback(null, {
          name: model.name,
          bytes: String(model.bytes),
          sha256: model.sha256,
          reference: model.reference ?? "",
          licence: model.licence ?? "",
          files: (model.files ?? []).map((file) => ({ ...file, bytes: String(file.bytes) })),
        });
      };
      answer().catch((thrown: unknown) => {
        if (!gone.aborted) callback(failureStatus(grpc, told(thrown, options)));
      });
    },
    fetch: (call) => {
      const gone = departure(call);
      transfer(options, call, gone).catch((thrown: unknown) => {
        if (!gone.aborted) call.emit("error", failureStatus(grpc, told(thrown, options)));
      });
    },
  };
}

/** Throws where it may not use models. */
const callerOf = ({ authorizer }: ModelHandlerOptions, call: Call): Caller =>
  authorizer.authorize(bearerOf(call.metadata.get("authorization")[0]?.toString()), "inference").caller;

/** The weights, if the caller may use the model. */
async function find(options: ModelHandlerOptions, call: Call, asked: string, gone: AbortSignal): Promise<ShelfModel> {
  const caller = callerOf(options, call);
  const model = await options.shelf.find(asked, gone);
  requireModel(caller, { name: model.name, aliases: [asked] });
  return model;
}

async function transfer(
  options: ModelHandlerOptions,
  call: ServerWritableStream<FetchRequest, FetchPart>,
  gone: AbortSignal,
): Promise<void> {
  const { shelf, log, stallMs = STALL_MS } = options;
  const { model: asked, sha256, offset: from } = call.request;
  const { tenant } = callerOf(options, call);
  const model = await find(options, call, asked, gone);
  const file = (model.files ?? [model]).find((one) => one.sha256 === (sha256 || model.sha256));
  if (file === undefined) {
    throw new AssistantError(
      "digest_mismatch",
      `The weights of ${JSON.stringify(model.name)} on that machine are others by now.`,
      {
        remedy: "Run the same command again.",
      },
    );
  }
  const offset = Number(from);
  if (!Number.isSafeInteger(offset) || offset > file.bytes) {
    throw new AssistantError(
      "invalid_request",
      `Expected an offset up to ${file.bytes}, the size of the weights; found ${from}.`,
      { param: "offset" },
    );
  }
  const facts = { model: model.name, tenant, offset, bytes: file.bytes };
  log.info(facts, "model transfer begins");
  let sent = 0;
  try {
    for await (const data of shelf.read(model, file.sha256, offset)) {
      if (gone.aborted) break;
      sent += data.length;
      // What the caller has not taken is not read: memory holds a few parts, however large the model is.
      if (!call.write({ data })) await drained(call, gone, stallMs);
    }
  } finally {
    log.info(
      { ...facts, sent },
      gone.aborted
        ? "model transfer cancelled"
        : offset + sent === file.bytes
          ? "model transfer done"
          : "model transfer failed",
    );
  }
  if (!gone.aborted) call.end();
}

/** Aborted when the caller leaves, its deadline passes or the connection breaks. */
function departure(call: Call): AbortSignal {
  const gone = new AbortController();
  const leave = (): void => gone.abort(new Error("the caller has disconnected"));
  call.once("cancelled", leave);
  if (call.cancelled) leave();
  return gone.signal;
}

/** Resolves when more may be written, or the caller has left. */
function drained(
  call: ServerWritableStream<FetchRequest, FetchPart>,
  gone: AbortSignal,
  stallMs: number,
): Promise<void> {
  if (gone.aborted) return Promise.resolve();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const go = (): void => resolve();
  const timer = setTimeout(
    () => reject(new AssistantError("deadline_exceeded", `The receiver accepted no data for ${stallMs / 1000} s.`)),
    stallMs,
  );
  call.once("drain", go);
  gone.addEventListener("abort", go, { once: true });
  return promise.finally(() => {
    clearTimeout(timer);
    call.off("drain", go);
    gone.removeEventListener("abort", go);
  });
}

function told(thrown: unknown, { log }: ModelHandlerOptions): AssistantError {
  const error = presentable(thrown);
  if (error.code === "internal") log.error({ err: thrown }, "a model cannot be sent");
  return error;
}
