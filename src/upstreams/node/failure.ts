import type { ServiceError } from "@grpc/grpc-js";
import { failureKeys } from "../../api/assistant-service.ts";
import { AssistantError, type ErrorCode, errorCatalogue } from "../../core/errors.ts";
import { tooLong } from "../answer/grpc-limits.ts";

// gRPC's status codes; the library itself is loaded only when used.
const CANCELLED = 1;
const UNKNOWN = 2;
const DEADLINE_EXCEEDED = 4;
const PERMISSION_DENIED = 7;
const RESOURCE_EXHAUSTED = 8;
const UNIMPLEMENTED = 12;
const INTERNAL = 13;
const UNAVAILABLE = 14;
const UNAUTHENTICATED = 16;

/** Whether this failure shows that the machine itself is unreachable. */
export const isAway = (error: unknown): boolean => statusOf(error) === UNAVAILABLE && codeOf(error) === null;

export const isTimeout = (error: unknown): boolean => statusOf(error) === DEADLINE_EXCEEDED;

/** Translates a failed call to another machine into an error of the catalogue. */
export function failureOf(node: string, error: unknown): AssistantError {
  const status = statusOf(error);
  const text = textOf(error);
  const make = (code: ErrorCode, message: string, remedy: string | null): AssistantError =>
    new AssistantError(code, message, { ...(remedy === null ? {} : { remedy }), ...retryAfterOf(error), cause: error });
  // Which key is wrong matters: the client's own was accepted.
  if (status === UNAUTHENTICATED || status === PERMISSION_DENIED) {
    return make(
      "node_unavailable",
      `The remote server "${node}" refuses access: ${text}`,
      "Set `api_key_env` or `api_key` of its [[remote_servers]] entry to a key it accepts.",
    );
  }
  const code = codeOf(error);
  if (code !== null) return make(code, text, metadataValue(error, failureKeys.remedy));
  const excess = tooLong(status, text);
  if (excess?.message === "answer")
    return make(
      "engine_error",
      `The remote server "${node}" sent a message of more than ${excess.limit}`,
      "Ask for less at once, or for a stream.",
    );
  if (excess !== null)
    return make(
      "body_too_large",
      `The remote server "${node}" accepts requests of at most ${excess.limit}`,
      "Send less at once, or increase `[server] body_limit_mib` there.",
    );
  switch (status) {
    case RESOURCE_EXHAUSTED:
      return make("queue_full", `The remote server "${node}" is busy: ${text}`, "Try again later.");
    case DEADLINE_EXCEEDED:
      return make("deadline_exceeded", `The remote server "${node}" did not answer in time`, null);
    case CANCELLED:
      return make("engine_lost", `The remote server "${node}" gave the request up`, "Send the request again.");
    case UNAVAILABLE:
      if (isForeign(text)) return otherProgram(node, error);
      return make(
        "node_unavailable",
        `The remote server "${node}" cannot be reached: ${text}`,
        "Check that Assistant runs there, and `grpc_addr` of its [[remote_servers]] entry. `assistant node list` shows their status.",
      );
    case UNIMPLEMENTED:
      return make(
        "node_unavailable",
        `The server at the address of the remote server "${node}" has no AssistantService`,
        "Correct `grpc_addr` of its [[remote_servers]] entry.",
      );
    default:
      return make("engine_error", `The remote server "${node}" failed: ${text}`, null);
  }
}

/**
 * The same for the transfer of a model. `node_unavailable` is a broken transfer that may be resumed; errors reported by
 * the other machine keep their own code.
 */
export function transferFailureOf(node: string, error: unknown): AssistantError {
  const status = statusOf(error);
  const text = textOf(error);
  const code = codeOf(error);
  if (status === UNAUTHENTICATED || status === PERMISSION_DENIED) {
    return new AssistantError("invalid_api_key", `The remote server "${node}" refuses access: ${text}`, {
      remedy:
        "Set `api_key` of its [[remote_servers]] entry to a key it accepts, " +
        "or the variable that `api_key_env` names, for this command too.",
      cause: error,
    });
  }
  if (status === UNIMPLEMENTED) {
    return new AssistantError(
      "pull_failed",
      `The remote server "${node}" cannot hand out models: it has no ModelService.`,
      {
        remedy:
          "It runs an older version, or something other than Assistant: update it, " +
          "or pull the model from where it came from.",
        cause: error,
      },
    );
  }
  const remedy = metadataValue(error, failureKeys.remedy);
  if (code !== null && code !== "shutting_down") {
    return new AssistantError(code, `The remote server "${node}" reports: ${text}`, {
      ...(remedy === null ? {} : { remedy }),
      cause: error,
    });
  }
  const broken =
    code === "shutting_down" || [CANCELLED, UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE].includes(status ?? -1);
  if (!broken || isForeign(text)) return failureOf(node, error);
  return new AssistantError(
    "node_unavailable",
    `The remote server "${node}" cannot be reached, or closed the connection: ${text}`,
    {
      remedy: "`assistant node list` shows their status. Run the same command again to resume.",
      cause: error,
    },
  );
}

/** Another program listens there, which answers in another protocol, such as HTTP/1.1. */
const isForeign = (text: string): boolean => /^Protocol error\b/.test(text);

const otherProgram = (node: string, cause: unknown): AssistantError =>
  new AssistantError(
    "node_unavailable",
    `Expected an Assistant daemon's gRPC service at the address of the remote server "${node}", ` +
      "but a program listens there that does not speak gRPC",
    {
      remedy:
        "Correct `grpc_addr` of its [[remote_servers]] entry: it is `[server] grpc_addr` of the daemon there, " +
        "not its HTTP address.",
      cause,
    },
  );

const statusOf = (error: unknown): number | null =>
  typeof (error as ServiceError | null)?.code === "number" ? (error as ServiceError).code : null;

function textOf(error: unknown): string {
  const text = (error as ServiceError | null)?.details || (error instanceof Error ? error.message : String(error));
  // grpc-js wraps the system's reason in messages about its own lookups, which do not help the reader.
  return (
    /^No connection established\. Last error: (?:Error: )?(.+?)(?: \([\dTZ:.-]+\))?\. Resolution note:/su.exec(
      text,
    )?.[1] ?? text
  );
}

function metadataValue(error: unknown, key: string): string | null {
  const value = (error as Partial<ServiceError> | null)?.metadata?.get(key)[0];
  return typeof value === "string" ? value : null;
}

function codeOf(error: unknown): ErrorCode | null {
  const code = metadataValue(error, failureKeys.code);
  return code !== null && Object.hasOwn(errorCatalogue, code) ? (code as ErrorCode) : null;
}

function retryAfterOf(error: unknown): { retryAfterS?: number } {
  const seconds = Number(metadataValue(error, failureKeys.retryAfter) ?? Number.NaN);
  return Number.isFinite(seconds) && seconds > 0 ? { retryAfterS: seconds } : {};
}
