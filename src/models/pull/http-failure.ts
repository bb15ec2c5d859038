import { STATUS_CODES } from "node:http";
import { AssistantError, isAssistantError } from "../../core/errors.ts";
import { PRIVATE_ADDRESS } from "./addresses.ts";
import type { PullTiming } from "./types.ts";

/** An answer that is not the file. */
export class HttpFailure extends Error {
  readonly status: number;

  constructor(status: number, message: string | null) {
    super(message ?? `it answered ${status} ${STATUS_CODES[status] ?? ""}${hint(status)}`.trim());
    this.status = status;
  }
}

function hint(status: number): string {
  if (status === 401 || status === 403) return " (a model whose licence must be accepted needs HF_TOKEN)";
  if (status === 429) return " (too many requests; try again later)";
  return status === 407 ? " (the proxy wants a password)" : "";
}

/**
 * Whatever a transfer threw, as a reason that names the host and says what happened. A full or closed disk keeps its
 * own code.
 */
export function inWords(error: unknown, url: URL, timing: Pick<PullTiming, "connectMs" | "stallMs">): unknown {
  if (isAssistantError(error)) return error;
  const { code, host, message } = error as NodeJS.ErrnoException & { readonly host?: string };
  // A redirect to one is the source's failure; a request for one is a client error.
  if (code === PRIVATE_ADDRESS && host === url.hostname)
    return new AssistantError("invalid_request", `${message}.`, { param: "reference", cause: error });
  if (["ENOSPC", "EACCES", "EROFS", "EPERM"].includes(code ?? "")) return error;
  return new AssistantError("pull_failed", reason(error as NodeJS.ErrnoException, url.hostname, timing), {
    cause: error,
  });
}

function reason(error: NodeJS.ErrnoException, host: string, timing: Pick<PullTiming, "connectMs" | "stallMs">): string {
  switch (error.code) {
    case "ENOTFOUND":
    case "EAI_AGAIN":
    case "EAI_NODATA":
      return `the name ${nameIn(error) ?? host} cannot be resolved (${error.code})`;
    case "ECONNREFUSED":
      return `${host} refuses connections`;
    case "UND_ERR_CONNECT_TIMEOUT":
    case "ETIMEDOUT":
      return `no connection to ${host} within ${seconds(timing.connectMs)}`;
    case "UND_ERR_HEADERS_TIMEOUT":
      return `${host} did not answer within ${seconds(timing.stallMs)}`;
    case "UND_ERR_BODY_TIMEOUT":
      return `${host} sent nothing for ${seconds(timing.stallMs)}`;
    case "ENETUNREACH":
    case "EHOSTUNREACH":
      return `${host} cannot be reached (${error.code})`;
    default:
      return error.message === "" ? String(error.code ?? "unknown failure") : error.message;
  }
}

const nameIn = (error: NodeJS.ErrnoException): string | null => (error as { hostname?: string }).hostname ?? null;
/** `0.4 s`, `15 s`. */
export const seconds = (ms: number): string => `${Math.round(ms / 100) / 10} s`;
