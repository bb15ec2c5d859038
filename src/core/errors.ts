interface ErrorKind {
  /** HTTP status. */
  readonly status: number;
  /** OpenAI's error type. */
  readonly type: string;
  /** Exit code of a command that fails with it. */
  readonly exit: number;
  /** Whether the same call may succeed later. */
  readonly retry: boolean;
  readonly about: string;
}

type KindOf = (about: string, unlike?: Partial<ErrorKind>) => ErrorKind;

const kind =
  (status: number, type: string, { exit = 1, retry = false } = {}): KindOf =>
  (about, unlike = {}) => ({ status, type, exit, retry, about, ...unlike });

const badRequest = kind(400, "invalid_request_error", { exit: 2 });
const unauthenticated = kind(401, "authentication_error");
const forbidden = kind(403, "permission_error");
const notFound = kind(404, "invalid_request_error", { exit: 4 });
const conflict = kind(409, "invalid_request_error");
const limited = kind(429, "rate_limit_error", { retry: true });
const failure = kind(500, "server_error");
const upstreamFailure = kind(502, "server_error");
const unavailable = kind(503, "overloaded_error", { retry: true });
const unusable = kind(503, "server_error");
const timeout = kind(504, "timeout_error", { retry: true });

/** Every error that may reach a user, once. docs/errors.md is generated from this table. */
export const errorCatalogue = {
  // Requests
  invalid_request: badRequest("A field of the request is missing or invalid."),
  invalid_json: badRequest("The body is not valid JSON."),
  empty_body: badRequest("The request needs a body and has none."),
  body_too_large: badRequest("The body exceeds `[server] body_limit_mib`.", { status: 413 }),
  request_timeout: timeout("The body of the request arrived too slowly.", { status: 408 }),
  unsupported_media_type: badRequest("The route does not accept the content type of the body.", { status: 415 }),
  context_length_exceeded: badRequest("The prompt exceeds the context length of the model."),
  model_not_found: notFound("No configured model has this name or alias."),
  capability_not_found: notFound("No model, worker or node offers the requested capabilities."),
  wrong_model_kind: badRequest(
    "The model does not support this operation (a chat request to an embedding model, for example).",
  ),
  unsupported_capability: badRequest(
    "The model lacks a capability that the request needs (tools or images, for example).",
  ),
  request_not_found: notFound("No waiting or running request has this id."),
  batch_not_found: notFound("No batch has this id."),
  response_not_found: notFound("No stored response of the Responses API has this id."),
  file_not_found: notFound("No uploaded file has this id."),
  conversation_not_found: notFound("The API key has no conversation with this id, or it has expired."),
  item_not_found: notFound("The conversation has no item with this id."),
  object_not_found: notFound("No object has this key."),
  task_not_found: notFound("No task has this id, or it has expired."),
  task_not_finished: conflict("The task is waiting or running; cancel it first."),
  task_finished: conflict("The task or batch has already ended."),
  output_invalid: upstreamFailure("The model's answer does not match the JSON Schema of the task."),
  route_not_found: notFound("No such path.", { exit: 1 }),
  method_not_allowed: badRequest("The path does not support this method.", { status: 405, exit: 1 }),
  upgrade_required: badRequest("The path accepts WebSocket connections only.", { status: 426 }),
  not_implemented: badRequest("The API has this feature, but Assistant does not implement it.", {
    status: 501,
    exit: 1,
  }),
  missing_api_key: unauthenticated("The daemon requires an API key and the request has none."),
  invalid_api_key: unauthenticated("The API key is unknown, expired or revoked."),
  host_not_allowed: forbidden("The Host header names no address of this daemon (protection against DNS rebinding)."),
  origin_not_allowed: forbidden("The origin of the page is not in `[server] cors_origins`."),
  insufficient_scope: forbidden("The API key lacks the scope for this route, or may not use the model."),
  key_not_found: notFound("No stored API key has this name."),
  key_exists: conflict("An API key with this name already exists."),
  // Capacity
  rate_limit_exceeded: limited("The API key has reached one of its limits."),
  queue_full: limited("Too many requests or tasks are waiting."),
  deadline_exceeded: timeout("The deadline of the request passed before an answer began."),
  no_capacity: unavailable("No device has room for the model, and nothing may be evicted."),
  model_too_large: unusable(
    "The model needs more memory than any device has for models, even with nothing else loaded.",
  ),
  no_gpu: unavailable("This machine has no such GPU.", { retry: false }),
  node_not_found: notFound("No machine of the cluster has this name, or this machine is not in a cluster."),
  node_unavailable: unavailable("The machine that serves the model is unreachable, or accepts no requests."),
  provider_unavailable: unavailable("The provider of the model is unreachable, or failed."),
  provider_busy: limited("The provider of the model accepts no more requests at the moment."),
  provider_timeout: timeout("The provider of the model sent nothing within `timeout_s` of its entry."),
  provider_rejected_key: upstreamFailure(
    "The provider rejected the key of its `[[providers]]` entry; the client's own key is valid.",
  ),
  provider_error: upstreamFailure("The provider's response does not follow its API, or it does not know the model."),
  worker_unavailable: unavailable(
    "The worker that serves the model is unreachable, or stopped in the middle of its answer.",
  ),
  worker_busy: unavailable("Every worker that serves the model is busy."),
  worker_error: upstreamFailure("The worker's response does not follow the worker protocol."),
  worker_not_found: notFound("No worker is registered with this name and endpoint."),
  endpoint_not_allowed: forbidden("The daemon may not send requests to this address."),
  shutting_down: unavailable("The daemon is shutting down."),
  // Models and engines
  model_failed: unusable("No instance of the model can be started; the message says why.", { retry: true }),
  model_not_pulled: unusable("The model is configured, but its file is not on this machine.", { exit: 4 }),
  model_invalid: failure("The model's file is not a readable GGUF file.", { status: 422 }),
  model_exists: conflict("A model with this name is already configured."),
  model_in_use: conflict("The operation is not possible while the model is loaded.", { retry: true }),
  engine_unavailable: unusable("The engine that the model needs is not installed.", { exit: 5 }),
  engine_lost: upstreamFailure("The engine could not be reached, or crashed while answering.", { retry: true }),
  engine_stopped: unavailable("The instance was stopped while answering, by an operator or to make room."),
  engine_error: upstreamFailure("The engine returned an invalid response.", { retry: true }),
  engine_build_failed: failure("llama-server could not be built.", { exit: 5 }),
  engine_in_use: conflict("The operation is not possible with the build of llama-server that models run on."),
  pull_failed: upstreamFailure("No source could deliver the model; the message lists each with its reason.", {
    retry: true,
  }),
  digest_mismatch: upstreamFailure("The downloaded data does not match what was expected.", { retry: true }),
  access_denied: forbidden("The source serves the model only to accounts with access; the message says how to get it."),
  unknown_source: notFound("The model reference names nothing that can be pulled."),
  stage_failed: upstreamFailure(
    "A stage of a pipeline, or a service it uses, failed; the message says which and why.",
    { retry: true },
  ),
  pipeline_invalid: unusable("The pipeline cannot be used: its stages do not fit together, or one cannot be created.", {
    exit: 78,
  }),
  pipeline_not_found: notFound("No pipeline has this name."),
  // Daemon and machine
  config_invalid: failure("A configuration file is invalid; the message names file, line and key.", { exit: 78 }),
  data_newer: failure("A file in the data directory was written by a newer version of Assistant.", { exit: 78 }),
  store_unavailable: unusable("The store cannot be read or written at the moment; the message says why.", {
    retry: true,
  }),
  file_exists: conflict("A file would be overwritten; `--force` allows it."),
  daemon_not_running: unusable("No daemon is running for this data directory.", { exit: 3 }),
  daemon_not_answering: unusable("A daemon is running for this data directory, but commands cannot reach it.", {
    retry: true,
  }),
  daemon_running: conflict("Another daemon already serves the data directory.", { type: "server_error" }),
  daemon_start_failed: failure("The daemon exited before it was ready; the message says why."),
  address_in_use: failure("Another program is listening on the address."),
  not_writable: failure("A file or directory cannot be written."),
  // 400 as in OpenAI's API: its clients retry a 429 or 5xx, which would not help.
  storage_quota_exceeded: badRequest("The API key has reached its storage limit.", { exit: 1 }),
  disk_full: failure("There is not enough free disk space.", { status: 507 }),
  instance_not_found: notFound("No instance has this id."),
  usage: badRequest("The command was called with invalid arguments."),
  internal: failure("A bug in Assistant. Please report it.", { exit: 70 }),
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof errorCatalogue;

export interface ErrorDetails {
  /** The request field, config key or option that is wrong. */
  readonly param?: string;
  /** What to do about it, one sentence in the imperative. */
  readonly remedy?: string | null;
  /** Seconds after which a retry is worth while; rendered as `Retry-After`. */
  readonly retryAfterS?: number | null;
  /** Numbers for programs, under the names that llama-server gives them, such as `n_ctx`. */
  readonly counts?: Readonly<Record<string, number>>;
  readonly cause?: unknown;
}

const brand = Symbol.for("assistant.error");

/** An error with everything the edge needs to render it. `message` says what was expected and what was found. */
export class AssistantError extends Error {
  readonly code: ErrorCode;
  readonly param: string | null;
  readonly remedy: string | null;
  readonly retryAfterS: number | null;
  readonly counts: Readonly<Record<string, number>> | null;
  readonly [brand] = true;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "AssistantError";
    this.code = code;
    this.param = details.param ?? null;
    this.remedy = details.remedy ?? null;
    this.retryAfterS = details.retryAfterS ?? null;
    this.counts = details.counts ?? null;
  }

  get status(): number {
    return errorCatalogue[this.code].status;
  }
  get type(): string {
    return errorCatalogue[this.code].type;
  }
  get exitCode(): number {
    return errorCatalogue[this.code].exit;
  }
  get retryable(): boolean {
    return errorCatalogue[this.code].retry;
  }
}

/** Recognises the error across copies of this module (worker processes, tests). */
export const isAssistantError = (error: unknown): error is AssistantError =>
  typeof error === "object" && error !== null && brand in error;

/** Turns anything thrown into an AssistantError; what is not one becomes `internal` with the original as cause. */
export function toAssistantError(error: unknown): AssistantError {
  if (isAssistantError(error)) return error;
  const code = (error as NodeJS.ErrnoException | null)?.code;
  const message = error instanceof Error ? error.message : String(error);
  if (code === "ENOSPC")
    return new AssistantError("disk_full", message, { remedy: "Free some disk space, then try again.", cause: error });
  if (code === "EACCES" || code === "EROFS" || code === "EPERM")
    return new AssistantError("not_writable", message, {
      remedy: "Give this user access to it, or choose other directories with ASSISTANT_DATA_DIR.",
      cause: error,
    });
  return new AssistantError("internal", message, { cause: error });
}

/**
 * The error to show to clients of the API: the message of an internal error may contain anything, so it is replaced; a
 * command's `usage` error is a field of a request here.
 */
export function presentable(thrown: unknown): AssistantError {
  const error = toAssistantError(thrown);
  if (error.code === "usage") {
    const { message, param, remedy, cause } = error;
    return new AssistantError("invalid_request", message, {
      ...(param === null ? {} : { param }),
      ...(remedy === null ? {} : { remedy }),
      cause,
    });
  }
  if (error.code !== "internal" || error === thrown) return error;
  return new AssistantError("internal", "Internal error; the daemon's log has the details under this request id.", {
    cause: thrown,
  });
}
