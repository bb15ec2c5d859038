import { AssistantError, type ErrorCode, errorCatalogue } from "../../core/errors.ts";
import type { Operation } from "../../core/model.ts";

interface EngineErrorBody {
  readonly error?:
    | {
        readonly message?: unknown;
        readonly type?: unknown;
        readonly n_prompt_tokens?: unknown;
        readonly n_ctx?: unknown;
      }
    | string;
  /** Where servers other than llama.cpp's put the error: older versions of vLLM, and all FastAPI programs. */
  readonly message?: unknown;
  readonly detail?: unknown;
}

/** Additional fields in another daemon's errors. */
interface OurError {
  readonly code?: unknown;
  readonly message?: unknown;
  readonly param?: unknown;
  readonly remedy?: unknown;
  readonly retry_after_s?: unknown;
  readonly n_prompt_tokens?: unknown;
  readonly n_ctx?: unknown;
}

/** Whose answer it is and to what, for messages. */
interface Asked {
  readonly model: string;
  readonly operation: Operation;
  /** Context of one slot; missing or 0: unknown. */
  readonly contextTokens?: number;
}

/** The field that contains the input. */
export const PROMPT_FIELD: Readonly<Record<Operation, string>> = {
  chat: "messages",
  completion: "prompt",
  embedding: "input",
  rerank: "documents",
  image: "prompt",
  speech: "input",
  transcription: "file",
  translation: "file",
  moderation: "input",
  infer: "Input",
  tokenize: "content",
  tensors: "inputs",
};

/** llama-server takes 100 MiB. */
const TOO_LARGE_BODY = 413;
/** Statuses that blame the request, whatever the body contains. */
const REFUSING: ReadonlySet<number> = new Set([400, 415, 422]);

/** Translates an engine's error response for the client. */
export function engineError(status: number, body: string, asked: Asked): AssistantError {
  let parsed: EngineErrorBody;
  try {
    parsed = (JSON.parse(body) ?? {}) as EngineErrorBody;
  } catch {
    if (status === TOO_LARGE_BODY) return bodyTooLarge(asked);
    // whisper.cpp's server refuses in plain text.
    if (REFUSING.has(status) && /^[^<\s][^\n]*$/.test(body.trim()))
      return badRequest(`The engine of "${asked.model}" refuses the request: ${body.trim()}`, asked);
    return new AssistantError(
      "engine_error",
      `The engine of "${asked.model}" answered with status ${status} and ${shown(body)}.`,
    );
  }
  return engineErrorOf(status, parsed, asked);
}

/** The same for a parsed body, such as an `error` event of a stream. */
export function engineErrorOf(status: number, body: EngineErrorBody, asked: Asked): AssistantError {
  const { model } = asked;
  const error = typeof body.error === "object" && body.error !== null ? body.error : {};
  const said = [body.error, error.message, body.message, body.detail];
  const text = said.find((part): part is string => typeof part === "string") ?? detailText(body.detail);
  const ours = ourError(error);
  if (ours !== null) return ours;
  const { n_prompt_tokens: prompt, n_ctx: context } = error;
  if (error.type === "exceed_context_size_error") return contextExceeded(prompt, context, asked);
  switch (status) {
    case 400:
    case 422:
      return ofRequest(text, asked) ?? badRequest(text, asked);
    case 404:
    case 405:
    case 501:
      return new AssistantError("invalid_request", `The engine of "${model}" cannot do this: ${sentence(text)}`);
    case TOO_LARGE_BODY:
      return bodyTooLarge(asked);
    case 429:
      return new AssistantError("queue_full", `The engine of "${model}" takes no more requests.`, { retryAfterS: 1 });
    case 503:
      return new AssistantError("engine_error", `The engine of "${model}" is not ready: ${sentence(text)}`, {
        retryAfterS: 2,
      });
    default:
      return (
        ofRequest(text, asked) ??
        new AssistantError("engine_error", `The engine of "${model}" failed with status ${status}: ${sentence(text)}`)
      );
  }
}

/**
 * Errors that llama-server reports as 500 although the request is at fault: exceptions of its JSON library, parsers and
 * limits.
 */
const REQUEST_FAULTS: readonly (readonly [pattern: RegExp, param: string | null])[] = [
  [/^\[json\.exception\./, null],
  [/^Failed to parse (messages|tools)\b/, null],
  [/^(?:image|audio|video) input is not supported/, "messages"],
  [/^Failed to (?:load|download) image|^Invalid base64 value|^Multimodal data provided/, "messages"],
  [/^Failed to tokenize prompt|^"prompt" /, null],
  [/^Unsupported param: (\w+)/, null],
  [/^Unknown (reasoning) format/, "reasoning_format"],
  [/^Cannot use both json_schema and grammar|[Uu]nexpected empty grammar stack|failed to parse grammar/i, "grammar"],
  [/^Unable to generate parser for this template.*JSON schema error/s, "tools"],
  [/JSON schema (?:conversion failed|error)/, "response_format"],
  [/^Unable to generate parser for this template|^Failed to parse tool call arguments/, "messages"],
  [/^(tools|tool_choice) param requires|^(top_logprobs) requires/, null],
];

/** An embedding is computed in one batch, which therefore limits it. */
const TOO_LARGE = /^input \((\d+) tokens\) is (?:too large to process|larger than the max context size)\D*?(\d+)?\D*$/;

/** llama.cpp's grammars refuse it without an explanation. */
const UNFIT_BEGINNING = "Failed to initialize samplers: std::exception";

/** llama.cpp looks up a token without checking that it exists. */
const NO_TOKEN = /^vector::_M_range_check: __n \(which is \d+\) >= this->size\(\) \(which is (\d+)\)/;

function ofRequest(text: string, asked: Asked): AssistantError | null {
  const size = NO_TOKEN.exec(text)?.[1];
  if (size !== undefined)
    return new AssistantError(
      "invalid_request",
      `The vocabulary of "${asked.model}" has ${size} tokens, numbered from 0; a token beyond them was sent.`,
      { param: asked.operation === "tokenize" ? "tokens" : PROMPT_FIELD[asked.operation] },
    );
  if (text.startsWith(UNFIT_BEGINNING))
    return new AssistantError(
      "invalid_request",
      "The format or grammar of the answer does not allow the text that the answer is to continue.",
      { param: PROMPT_FIELD[asked.operation], remedy: "Leave the last message out, or change the format." },
    );
  const large = TOO_LARGE.exec(text);
  if (large !== null)
    // A batch may be larger than the context of a slot.
    return contextExceeded(
      Number(large[1]),
      large[2] === undefined ? undefined : Math.min(Number(large[2]), asked.contextTokens || Number.POSITIVE_INFINITY),
      asked,
    );
  for (const [pattern, param] of REQUEST_FAULTS) {
    const found = pattern.exec(text);
    if (found !== null) return badRequest(text, asked, param ?? found[1] ?? found[2]);
  }
  return null;
}

/** An error already formatted by a daemon like this one; engines' codes are numbers. */
function ourError({
  code,
  message,
  param,
  remedy,
  retry_after_s: seconds,
  n_prompt_tokens: prompt,
  n_ctx: context,
}: OurError): AssistantError | null {
  if (typeof code !== "string" || !Object.hasOwn(errorCatalogue, code) || typeof message !== "string") return null;
  return new AssistantError(code as ErrorCode, message, {
    ...(typeof param === "string" ? { param } : {}),
    ...(typeof remedy === "string" ? { remedy } : {}),
    ...(typeof seconds === "number" ? { retryAfterS: seconds } : {}),
    ...(typeof prompt === "number" && typeof context === "number"
      ? { counts: { n_prompt_tokens: prompt, n_ctx: context } }
      : {}),
  });
}

function contextExceeded(prompt: unknown, context: unknown, { model, operation }: Asked): AssistantError {
  const param = PROMPT_FIELD[operation];
  const isWhole = operation !== "chat" && operation !== "completion";
  const remedy = isWhole
    ? "Shorten the input, or raise `batch_size` and `ctx_size` in the model's file."
    : "Shorten the prompt, or raise `ctx_size` in the model's file.";
  const what = isWhole ? "An input" : "The prompt";
  if (typeof prompt !== "number" || typeof context !== "number") {
    return new AssistantError("context_length_exceeded", `${what} is longer than the context of "${model}".`, {
      param,
      remedy,
    });
  }
  const counts = { n_prompt_tokens: prompt, n_ctx: context };
  return new AssistantError(
    "context_length_exceeded",
    `${what} has ${prompt} tokens; the context of "${model}" holds ${context}.`,
    { param, remedy, counts },
  );
}

const bodyTooLarge = ({ model, operation }: Asked): AssistantError =>
  new AssistantError("body_too_large", `The request is larger than the engine of "${model}" accepts.`, {
    param: PROMPT_FIELD[operation],
    remedy: "Send less.",
  });

/** The field named by the engine's message, if any. The rest of a message that quotes the request is omitted. */
function badRequest(text: string, { operation }: Asked, known?: string): AssistantError {
  // The engine's JSON library puts its own error number before the useful part.
  const message = text
    .replace(/\[json\.exception\.[a-z_]+\.\d+\] /g, "")
    .replace(/; (?:last read|tools = )[\s\S]*$/, "");
  const field = /[Ff]ield '([\w.]+)'|'([\w.]+)' (?:must|should|is)|Expected '([\w.]+)'/.exec(message);
  const named = known ?? field?.[1] ?? field?.[2] ?? field?.[3];
  const param = named === "messages" ? PROMPT_FIELD[operation] : named;
  return new AssistantError("invalid_request", sentence(message.slice(0, 500)), param === undefined ? {} : { param });
}

/** FastAPI lists the problems of a request, each with its location. */
const detailText = (detail: unknown): string =>
  Array.isArray(detail)
    ? (detail as readonly { readonly loc?: unknown; readonly msg?: unknown }[])
        .slice(0, 5)
        .map((fault) => `${Array.isArray(fault?.loc) ? `${fault.loc.join(".")}: ` : ""}${String(fault?.msg ?? "")}`)
        .join("; ")
    : "";

const sentence = (text: string): string =>
  text === "" ? "it gave no reason." : /[.!?]$/.test(text) ? text : `${text}.`;

const shown = (body: string): string =>
  body === "" ? "no body" : `a body that is not JSON: ${JSON.stringify(body.slice(0, 120))}`;
