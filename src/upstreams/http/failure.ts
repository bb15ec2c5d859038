import type { IncomingHttpHeaders } from "node:http";
import { AssistantError, type ErrorCode, type ErrorDetails } from "../../core/errors.ts";
import type { Operation } from "../../core/model.ts";
import type { Provider } from "../../core/provider.ts";
import type { Retry } from "../../core/upstream.ts";
import { PROMPT_FIELD } from "../answer/engine-error.ts";

/** What was requested of a provider, for messages. */
export interface Asked {
  readonly provider: Provider;
  /** Our name of the model, and the provider's; null for its list of models. */
  readonly model: string | null;
  readonly providerModel: string | null;
  readonly operation: Operation | null;
}

/** Maximum length of a quoted message of a provider. */
const MAX_TEXT = 300;

const isOfProvider = ({ code }: AssistantError): boolean => code.startsWith("provider_");

/**
 * Whether another target may be tried: a provider's fault says nothing about others. An invalid answer may be an
 * accident, so it is retried once.
 */
export const retryOf = (reason: AssistantError): Retry =>
  !isOfProvider(reason) ? "never" : reason.code === "provider_error" && reason.param === null ? "once" : "elsewhere";

/** Translates a failure of undici, before an answer has begun. */
export function transportFailure(provider: Provider, error: unknown): AssistantError {
  const code = codeOf(error);
  const { host, protocol } = new URL(provider.baseUrl);
  const why =
    TRANSPORT[code] ??
    (/^(?:CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|ERR_TLS|ERR_SSL|EPROTO)/.test(code)
      ? `no secure connection could be made (${code})`
      : code.startsWith("HPE_")
        ? "the server there does not speak HTTP"
        : `the connection failed${code === "" ? "" : ` (${code})`}`);
  return new AssistantError(
    "provider_unavailable",
    `The provider "${provider.name}" cannot be reached at ${protocol}//${host}: ${why}.`,
    { remedy: "Check that it runs, and `base_url` of its [[providers]] entry.", retryAfterS: 2, cause: error },
  );
}

const TRANSPORT: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens at that address",
  ENOTFOUND: "no host has that name",
  EAI_AGAIN: "the host's name could not be looked up",
  EHOSTUNREACH: "there is no route to the host",
  ENETUNREACH: "there is no route to the host",
  ECONNRESET: "the connection was closed before an answer arrived",
  UND_ERR_SOCKET: "the connection was closed before an answer arrived",
  UND_ERR_CLOSED: "its entry was changed or removed",
  UND_ERR_DESTROYED: "its entry was changed or removed",
  UND_ERR_CONNECT_TIMEOUT: "no connection within `connect_timeout_s`",
};

/** Failures of several addresses are reported as one that contains them. */
function codeOf(error: unknown): string {
  const { code, errors, cause } = (error ?? {}) as { code?: unknown; errors?: unknown[]; cause?: unknown };
  if (typeof code === "string") return code;
  const inner = errors?.[0] ?? cause;
  return inner === undefined ? "" : codeOf(inner);
}

/** It ended in the middle of an answer. */
export const brokenOff = ({ name }: Provider, cause?: unknown): AssistantError =>
  new AssistantError("provider_unavailable", `The provider "${name}" broke off in the middle of its answer.`, {
    remedy: "Send the request again.",
    retryAfterS: 1,
    cause,
  });

export const timedOut = ({ name, silenceTimeoutMs }: Provider): AssistantError =>
  new AssistantError("provider_timeout", `The provider "${name}" sent nothing for ${silenceTimeoutMs / 1000} s.`, {
    remedy: "Try again, or raise `timeout_s` of its [[providers]] entry.",
  });

/** Its answer is invalid. `found` completes "The provider NAME …". */
export const malformed = ({ provider }: Pick<Asked, "provider">, found: string, remedy?: string): AssistantError =>
  new AssistantError("provider_error", `The provider "${provider.name}" ${found}.`, {
    remedy: remedy ?? `Check that ${provider.baseUrl} is the base URL of an API of the type "${provider.type}".`,
  });

/** Translates a provider's error response, by its status. */
export function errorAnswer(status: number, headers: IncomingHttpHeaders, body: string, asked: Asked): AssistantError {
  if (status >= 300 && status < 400) {
    const where = typeof headers.location === "string" ? ` to ${shown(headers.location, asked)}` : "";
    return malformed(asked, `redirects${where}`, "Write the address that it redirects to as `base_url`.");
  }
  return statedError(status, parsed(body), asked, retryAfterS(headers));
}

interface Stated {
  readonly text: string;
  readonly code: string;
  readonly param: string | null;
}

/** The same for an error in an answer with status 200, where the error may state another status. */
export function errorInside(answer: unknown, asked: Asked): AssistantError {
  const { error } = answer as { error?: { code?: unknown; status?: unknown } };
  const given = [error?.code, error?.status].map(Number).find((code) => code >= 400 && code < 600);
  return statedError(given ?? statusOfType(answer), answer, asked, null);
}

/** OpenAI's types of errors, which its streams have instead of a status. */
function statusOfType(answer: unknown): number {
  const { type, code } = (answer as { error?: { type?: unknown; code?: unknown } }).error ?? {};
  if (type === "invalid_request_error") return code === "model_not_found" ? 404 : 400;
  if (type === "authentication_error" || code === "invalid_api_key") return 401;
  if (type === "rate_limit_error" || code === "rate_limit_exceeded") return 429;
  return 500;
}

function statedError(status: number, body: unknown, asked: Asked, waitS: number | null): AssistantError {
  const { provider, operation } = asked;
  const { text, code, param } = stated(body, asked);
  const said = text === "" ? `status ${status}` : text;
  const make = (ours: ErrorCode, what: string, details: ErrorDetails = {}): AssistantError =>
    new AssistantError(ours, `The provider "${provider.name}" ${what}: ${sentence(said)}`, details);
  const wait = waitS === null ? {} : { retryAfterS: waitS };
  if (status === 401 || status === 403) return make("provider_rejected_key", rejection(provider), keyRemedy(provider));
  if (status === 402 || code === "insufficient_quota")
    return make("provider_unavailable", "has no credit left for the key", {
      remedy: "Add credit to the account, or use another provider.",
      ...wait,
    });
  if (status === 429 || status === 529 || (status === 503 && waitS !== null))
    return make("provider_busy", "accepts no more requests at the moment", {
      retryAfterS: waitS ?? 1,
      remedy: "Try again later.",
    });
  if (status === 408 || status === 504) return make("provider_timeout", "did not answer in time", wait);
  if (status >= 500) return make("provider_unavailable", `failed with status ${status}`, wait);
  if (status === 404 || status === 405 || status === 410) return notThere(status, body, asked, make);
  if (code === "context_length_exceeded" || CONTEXT.test(text))
    return make("context_length_exceeded", "refuses the request", {
      param: operation === null ? "messages" : PROMPT_FIELD[operation],
      remedy: "Shorten the prompt, or use a model with a larger context.",
    });
  return make("invalid_request", "refuses the request", param === null ? {} : { param });
}

const CONTEXT = /maximum context length|exceeds? the (?:available )?context|context length exceeded/i;

function notThere(
  status: number,
  body: unknown,
  { provider, model, providerModel }: Asked,
  make: (code: ErrorCode, what: string, details?: ErrorDetails) => AssistantError,
): AssistantError {
  // An API that has the path explains in JSON what it cannot find.
  if (typeof body === "object" && body !== null && status !== 405 && providerModel !== null && model !== null)
    return make("provider_error", `has no model "${providerModel}" for this`, {
      param: "model",
      remedy: model.startsWith(`${provider.name}/`)
        ? "`assistant list` shows the models that it offers."
        : `Correct \`provider_model\` in the file of the model "${model}".`,
    });
  return make("provider_error", `does not answer at ${provider.baseUrl}`, {
    remedy: "Correct `base_url` of its [[providers]] entry: it includes the version, as in https://api.openai.com/v1.",
  });
}

const rejection = ({ keySource, apiKey }: Provider): string =>
  apiKey !== null
    ? `rejects the key of ${keySource}`
    : keySource === null
      ? "requires a key, and its entry has none"
      : `requires a key, and ${keySource} has none`;

const keyRemedy = ({ keySource, apiKey }: Provider): ErrorDetails => ({
  remedy:
    keySource === null
      ? "Write `api_key_env` or `api_key_file` into its [[providers]] entry."
      : apiKey === null
        ? `Set ${keySource} for the daemon, then \`assistant reload\`.`
        : `Put a valid key into ${keySource}, then \`assistant reload\` (a changed environment needs a restart).`,
});

/** Text, code and field of an error in any of the formats that APIs use. */
function stated(body: unknown, asked: Asked): Stated {
  const root = (Array.isArray(body) ? body[0] : body) as Record<string, unknown> | null;
  if (typeof root !== "object" || root === null) return { text: "", code: "", param: null };
  const { error = root } = root;
  if (typeof error === "string") return { text: shown(error, asked), code: "", param: fieldIn(error) };
  const { message, detail, code, type, param } = error as Record<string, unknown>;
  const text = typeof message === "string" ? message : detailText(detail);
  const field = typeof param === "string" && param !== "" ? param : (detailField(detail) ?? fieldIn(text));
  return {
    text: shown(text, asked),
    code: typeof code === "string" ? code : typeof type === "string" ? type : "",
    param: field === null ? null : field.slice(0, 100),
  };
}

/** FastAPI's: a text, or a list of `{loc, msg}`. */
const detailText = (detail: unknown): string =>
  typeof detail === "string"
    ? detail
    : Array.isArray(detail) && typeof detail[0]?.msg === "string"
      ? `${detailField(detail) ?? "the request"}: ${detail[0].msg}`
      : "";

const detailField = (detail: unknown): string | null => {
  const loc: unknown = Array.isArray(detail) ? detail[0]?.loc : null;
  return Array.isArray(loc) ? loc.filter((part) => part !== "body").join(".") : null;
};

const fieldIn = (text: string): string | null =>
  /(?:[Ff]ield|[Pp]arameter|[Aa]rgument):? ['"`]?([\w.]+)['"`]|'([\w.]+)' (?:must|should|is)/
    .exec(text)
    ?.slice(1)
    .find((name) => name !== undefined) ?? null;

/** On one line, short, and without our key: some providers quote what they reject. */
function shown(text: string, { provider: { apiKey } }: Pick<Asked, "provider">): string {
  const clean = (apiKey === null ? text : text.replaceAll(apiKey, "…")).replaceAll(/\s+/g, " ").trim();
  return clean.length > MAX_TEXT ? `${clean.slice(0, MAX_TEXT)}…` : clean;
}

const sentence = (text: string): string => (/[.!?…]$/.test(text) ? text : `${text}.`);

function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return null;
  }
}

/** `Retry-After` as seconds or as a date, or OpenAI's milliseconds; null if missing. */
function retryAfterS(headers: IncomingHttpHeaders): number | null {
  const milliseconds = Number(headers["retry-after-ms"] ?? Number.NaN);
  if (Number.isFinite(milliseconds)) return Math.max(1, Math.ceil(milliseconds / 1000));
  const after = headers["retry-after"];
  if (after === undefined) return null;
  const seconds = Number(after);
  const wait = Number.isFinite(seconds) ? seconds : (Date.parse(after) - Date.now()) / 1000;
  return Number.isFinite(wait) ? Math.max(1, Math.ceil(wait)) : null;
}
