import { AssistantError, type ErrorCode, errorCatalogue } from "../../core/errors.ts";

interface EngineErrorBody {
  readonly error?: { readonly message?: unknown; readonly type?: unknown; readonly n_prompt_tokens?: unknown; readonly n_ctx?: unknown } | string;
}

/** What another daemon's error answer has besides. */
interface OurError {
  readonly code?: unknown;
  readonly message?: unknown;
  readonly param?: unknown;
  readonly remedy?: unknown;
  readonly retry_after_s?: unknown;
}

/** What an engine's error answer means to the client. `model` names it in messages. */
export function engineError(status: number, body: string, model: string): AssistantError {
  let parsed: EngineErrorBody;
  try {
    parsed = JSON.parse(body) as EngineErrorBody;
  } catch {
    return new AssistantError("engine_error", `The engine of "${model}" answered with status ${status} and ${shown(body)}.`);
  }
  return engineErrorOf(status, parsed, model);
}

/** The same for a body that is parsed already, such as an `error` event of a stream. */
export function engineErrorOf(status: number, body: EngineErrorBody, model: string): AssistantError {
  const error = typeof body.error === "object" && body.error !== null ? body.error : {};
  const text = typeof body.error === "string" ? body.error : typeof error.message === "string" ? error.message : "";
  const ours = ourError(error);
  if (ours !== null) return ours;
  if (error.type === "exceed_context_size_error") return contextExceeded(error, model);
  switch (status) {
    case 400:
    case 422:
      return badRequest(text);
    case 404:
    case 405:
    case 501:
      return new AssistantError("invalid_request", `The engine of "${model}" cannot do this: ${sentence(text)}`);
    case 429:
      return new AssistantError("queue_full", `The engine of "${model}" takes no more requests.`, { retryAfterS: 1 });
    case 503:
      return new AssistantError("engine_error", `The engine of "${model}" is not ready: ${sentence(text)}`, { retryAfterS: 2 });
    default:
      return new AssistantError("engine_error", `The engine of "${model}" failed with status ${status}: ${sentence(text)}`);
  }
}

/** An error that a daemon like this one has worded already; engines' codes are numbers. */
function ourError({ code, message, param, remedy, retry_after_s: seconds }: OurError): AssistantError | null {
  if (typeof code !== "string" || !Object.hasOwn(errorCatalogue, code) || typeof message !== "string") return null;
  return new AssistantError(code as ErrorCode, message, {
    ...(typeof param === "string" ? { param } : {}),
    ...(typeof remedy === "string" ? { remedy } : {}),
    ...(typeof seconds === "number" ? { retryAfterS: seconds } : {}),
  });
}

function contextExceeded(error: { readonly n_prompt_tokens?: unknown; readonly n_ctx?: unknown }, model: string): AssistantError {
  const { n_prompt_tokens: prompt, n_ctx: context } = error;
  const counts =
    typeof prompt === "number" && typeof context === "number" ? `The prompt has ${prompt} tokens; the context of "${model}" holds ${context}.` : null;
  return new AssistantError("context_length_exceeded", counts ?? `The prompt is longer than the context of "${model}".`, {
    param: "messages",
    remedy: "Shorten the prompt, or raise `ctx_size` in the model's file.",
  });
}

function badRequest(text: string): AssistantError {
  // The engine's JSON library puts its own error number in front of what a user can use.
  const message = text.replace(/\[json\.exception\.[a-z_]+\.\d+\] /g, "");
  const field = /[Ff]ield '([\w.]+)'|'([\w.]+)' (?:must|should|is)|Expected '([\w.]+)'/.exec(message);
  const param = field?.[1] ?? field?.[2] ?? field?.[3];
  return new AssistantError("invalid_request", sentence(message), param === undefined ? {} : { param });
}

const sentence = (text: string): string => (text === "" ? "it gave no reason." : /[.!?]$/.test(text) ? text : `${text}.`);

const shown = (body: string): string => (body === "" ? "no body" : `a body that is not JSON: ${JSON.stringify(body.slice(0, 120))}`);
