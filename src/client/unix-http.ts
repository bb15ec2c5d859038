import { type IncomingMessage, request } from "node:http";
import type { ErrorBody } from "../api/status.ts";
import { AssistantError, type ErrorCode, errorCatalogue } from "../core/errors.ts";

/** One HTTP call to the daemon. */
export interface SocketCall {
  readonly socketPath: string;
  readonly method: "GET" | "POST" | "DELETE";
  readonly path: string;
  /** Sent as JSON; undefined: no body. */
  readonly body?: unknown;
  readonly signal?: AbortSignal;
  /** Milliseconds without data after which the call fails with `daemon_not_answering`; null: no limit. */
  readonly silenceMs: number | null;
}

/**
 * Sends the call and resolves once the response's headers have arrived; the caller reads the body.
 * Uses node:http instead of undici, with which a command that only asks for the status would start 60 ms later.
 * Rejects with the daemon's own error for statuses from 400, with `daemon_not_running` if nothing listens, with
 * `address_in_use` if another program does, and with the signal's reason after an abort.
 */
export async function callSocket(call: SocketCall): Promise<IncomingMessage> {
  return await answerOfDaemon(await send(call), call.socketPath);
}

/** The response, if the daemon sent it. Rejects like `callSocket`. */
export async function answerOfDaemon(response: IncomingMessage, socketPath: string): Promise<IncomingMessage> {
  const { statusCode = 500, headers } = response;
  // Every response of the daemon has this header.
  if (headers["x-request-id"] === undefined) {
    response.destroy();
    const type = headers["content-type"] ?? "no content type";
    throw otherProgram(socketPath, `it answered with status ${statusCode} and ${shown(type)}`);
  }
  return await successful(response);
}

/** The response as JSON. It is not validated, because client and daemon belong to the same installation. */
export async function callJson<Answer>(call: SocketCall): Promise<Answer> {
  const text = await readText(await callSocket(call));
  return (text === "" ? {} : JSON.parse(text)) as Answer;
}

/** The JSON that an engine answers, for commands that start one themselves. Rejects with the error in its answer. */
export async function callEngine<Answer>(call: SocketCall): Promise<Answer> {
  return JSON.parse(await readText(await successful(await send(call)))) as Answer;
}

async function successful(response: IncomingMessage): Promise<IncomingMessage> {
  const { statusCode = 500 } = response;
  if (statusCode < 400) return response;
  throw errorFromBody(statusCode, await readText(response));
}

function send(call: SocketCall): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const payload = call.body === undefined ? null : JSON.stringify(call.body);
    const outgoing = request({
      socketPath: call.socketPath,
      method: call.method,
      path: call.path,
      agent: false,
      headers:
        payload === null ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(payload) },
      ...(call.signal ? { signal: call.signal } : {}),
    });
    if (call.silenceMs !== null) {
      outgoing.setTimeout(call.silenceMs, () => outgoing.destroy(silent(call.socketPath, call.silenceMs ?? 0)));
    }
    outgoing.once("response", resolve);
    outgoing.once("error", (error) =>
      reject(call.signal?.aborted ? (call.signal.reason ?? error) : explain(error, call.socketPath)),
    );
    outgoing.end(payload ?? undefined);
  });
}

async function readText(response: IncomingMessage): Promise<string> {
  response.setEncoding("utf8");
  let text = "";
  for await (const part of response) text += part;
  return text;
}

const silent = (socketPath: string, waitedMs: number): AssistantError =>
  new AssistantError(
    "daemon_not_answering",
    `The daemon at ${socketPath} has not responded for ${waitedMs / 1000} s.`,
    {
      remedy: "See `assistant logs`, then `assistant stop --now` and `assistant serve`.",
    },
  );

/** Something other than the daemon listens on its socket. */
export const otherProgram = (socketPath: string, found: string, cause?: unknown): AssistantError =>
  new AssistantError(
    "address_in_use",
    `Expected the Assistant daemon at ${socketPath}, but another program listens there: ${found}.`,
    {
      remedy:
        "Stop that program and start the daemon with `assistant serve`, " +
        "or choose another data directory with ASSISTANT_DATA_DIR.",
      cause,
    },
  );

const MAX_SHOWN = 60;
const shown = (text: string): string => JSON.stringify(text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text);

/** What a program sent that Node.js cannot read as HTTP. */
function notHttp({ rawPacket }: Error & { readonly rawPacket?: Buffer }): string {
  const text = rawPacket?.toString("latin1").split("\n", 1)[0] ?? "";
  return text === "" ? "its answer is not HTTP" : `its answer is not HTTP, and begins with ${shown(text)}`;
}

/** A failed connection as an error for the user of a command. */
export function explain(error: Error, socketPath: string): Error {
  const { code = "" } = error as NodeJS.ErrnoException;
  // Of Node.js' parser.
  if (code.startsWith("HPE_")) return otherProgram(socketPath, notHttp(error), error);
  switch (code) {
    case "ENOENT":
    // A part of the path is a file.
    case "ENOTDIR":
    case "ECONNREFUSED":
      return new AssistantError("daemon_not_running", "The daemon is not running.", {
        remedy: "Start it with `assistant serve`.",
        cause: error,
      });
    case "ECONNRESET":
    case "EPIPE":
      return new AssistantError("daemon_not_running", "The daemon exited in the middle of an answer.", {
        remedy: "`assistant logs` shows its last lines.",
        cause: error,
      });
    case "EACCES":
      return new AssistantError("not_writable", `The daemon's socket ${socketPath} belongs to another user.`, {
        remedy: "Run the command as the user who runs the daemon.",
        cause: error,
      });
    default:
      return error;
  }
}

/** The shape of errors under `/api/v1`. */
interface ApiV1Error {
  readonly error: string;
  readonly message: string;
  readonly details: { readonly param?: string; readonly remedy?: string } | null;
}

const ofApiV1 = ({ error: code, message, details }: ApiV1Error) => ({
  code,
  message,
  param: details?.param ?? null,
  ...(details?.remedy === undefined ? {} : { remedy: details.remedy }),
});

/** The error in a response of the daemon. */
export function errorFromBody(status: number, text: string): AssistantError {
  try {
    const body = JSON.parse(text) as Partial<ErrorBody> | ApiV1Error;
    const error = typeof body.error === "string" ? ofApiV1(body as ApiV1Error) : (body as Partial<ErrorBody>).error;
    if (error !== undefined && typeof error.message === "string") {
      const code: ErrorCode = Object.hasOwn(errorCatalogue, error.code) ? (error.code as ErrorCode) : "internal";
      return new AssistantError(code, error.message, {
        ...(error.remedy === undefined ? {} : { remedy: error.remedy }),
        ...(error.param ? { param: error.param } : {}),
      });
    }
  } catch {
    // Not JSON: said below.
  }
  return new AssistantError(
    "internal",
    `The daemon answered with status ${status} and ${text === "" ? "no body" : `"${text.slice(0, 200)}"`}.`,
  );
}
