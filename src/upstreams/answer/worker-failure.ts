import { AssistantError } from "../../core/errors.ts";
import type { Retry } from "../../core/upstream.ts";

/** Maximum length of a quoted message of a worker. */
const MAX_SHOWN = 300;

/** `cause`: of the connection; a request that was not read may be sent to another worker. */
export const unreachable = (worker: string, cause: unknown): AssistantError =>
  new AssistantError("worker_unavailable", `The worker at ${worker} cannot be reached.`, {
    remedy: "Start it again; `assistant worker list` and `GET /registry` list the workers.",
    retryAfterS: 1,
    cause,
  });

export const brokenOff = (worker: string, cause?: unknown): AssistantError =>
  new AssistantError("worker_unavailable", `The worker at ${worker} stopped in the middle of its answer.`, {
    remedy: "Send the request again; the worker's log shows what happened.",
    retryAfterS: 1,
    cause,
  });

/** Translates a status other than 200. `param`: the field that the worker refuses. */
export function refusalOf(worker: string, status: number, text: string, param: string): AssistantError {
  const said = messageIn(text);
  if (status === 503 || status === 429)
    return new AssistantError("worker_busy", `The worker at ${worker} is busy: ${said}`, { retryAfterS: 1 });
  if (status === 400)
    return new AssistantError("invalid_request", `The worker at ${worker} refuses the request: ${said}`, {
      param,
    });
  return new AssistantError("worker_error", `The worker at ${worker} answered with status ${status}: ${said}`, {
    remedy: "The worker's log has details; check that it registered the right address.",
  });
}

/** Another worker may take what this one did not start; after a useless answer, another one is tried once. */
export const retryOf = ({ code }: AssistantError): Retry =>
  code === "worker_busy" || code === "worker_unavailable" ? "elsewhere" : code === "worker_error" ? "once" : "never";

/** Workers report errors as `message`, `msg` or `error`. */
function messageIn(text: string): string {
  let said: unknown = text;
  try {
    const { message, msg, error } = JSON.parse(text) as Readonly<Record<string, unknown>>;
    said = message ?? msg ?? error ?? text;
  } catch {
    // A plain text.
  }
  const shown = String(said).replaceAll(/\s+/g, " ").trim().slice(0, MAX_SHOWN);
  return shown === "" ? "it gives no reason." : /[.!?…]$/.test(shown) ? shown : `${shown}.`;
}
