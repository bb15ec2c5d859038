/**
 * Every error that may reach a user, once. `status` is the HTTP status, `type` the OpenAI error type, `exit` the
 * exit code of a command that fails with it, `retry` whether the same call may succeed later.
 * docs/errors.md is generated from this table.
 */
export const errorCatalogue = {
  // Requests
  invalid_request: {
    status: 400,
    type: "invalid_request_error",
    exit: 2,
    retry: false,
    about: "A field of the request is missing or has the wrong type.",
  },
  invalid_json: { status: 400, type: "invalid_request_error", exit: 2, retry: false, about: "The body is not JSON." },
  empty_body: {
    status: 400,
    type: "invalid_request_error",
    exit: 2,
    retry: false,
    about: "The request needs a body and has none.",
  },
  body_too_large: {
    status: 413,
    type: "invalid_request_error",
    exit: 2,
    retry: false,
    about: "The body is over `[server] body_limit_mib`.",
  },
  request_timeout: {
    status: 408,
    type: "timeout_error",
    exit: 1,
    retry: true,
    about: "The body of the request came too slowly.",
  },
  unsupported_media_type: {
    status: 415,
    type: "invalid_request_error",
    exit: 2,
    retry: false,
    about: "The body's content type is not one this route reads.",
  },
  context_length_exceeded: {
    status: 400,
    type: "invalid_request_error",
    exit: 2,
    retry: false,
    about: "The prompt is longer than the context of the model.",
  },
  model_not_found: {
    status: 404,
    type: "invalid_request_error",
    exit: 4,
    retry: false,
    about: "No configured model has this name or alias.",
  },
  capability_not_found: {
    status: 404,
    type: "invalid_request_error",
    exit: 4,
    retry: false,
    about: "No model, worker or node offers the capabilities that the request asks for.",
  },
  wrong_model_kind: {
    status: 400,
    type: "invalid_request_error",
    exit: 2,
    retry: false,
    about: "The model exists but does not do this (a chat request to an embedding model, for example).",
  },
  unsupported_capability: {
    status: 400,
    type: "invalid_request_error",
    exit: 2,
    retry: false,
    about: "The model cannot do what the request asks for (tools or images, for example).",
  },
  request_not_found: {
    status: 404,
    type: "invalid_request_error",
    exit: 4,
    retry: false,
    about: "No request with this id waits or runs.",
  },
  batch_not_found: {
    status: 404,
    type: "invalid_request_error",
    exit: 4,
    retry: false,
    about: "No batch has this id.",
  },
  response_not_found: {
    status: 404,
    type: "invalid_request_error",
    exit: 4,
    retry: false,
    about: "No stored response of the Responses API has this id.",
  },
  file_not_found: {
    status: 404,
    type: "invalid_request_error",
    exit: 4,
    retry: false,
    about: "No uploaded file has this id.",
  },
  conversation_not_found: {
    status: 404,
    type: "invalid_request_error",
    exit: 4,
    retry: false,
    about: "No conversation of this key has this id, or it was deleted some days after its last change.",
  },
  item_not_found: {
    status: 404,
    type: "invalid_request_error",
    exit: 4,
    retry: false,
    about: "The conversation has no item with this id.",
  },
  object_not_found: {
    status: 404,
    type: "invalid_request_error",
    exit: 4,
    retry: false,
    about: "No object has this key.",
  },
  task_not_found: {
    status: 404,
    type: "invalid_request_error",
    exit: 4,
    retry: false,
    about: "No task has this id, or it ended so long ago that it was deleted.",
  },
  task_not_finished: {
    status: 409,
    type: "invalid_request_error",
    exit: 1,
    retry: false,
    about: "The task waits or runs; cancel it first.",
  },
  task_finished: {
    status: 409,
    type: "invalid_request_error",
    exit: 1,
    retry: false,
    about: "The task or batch has ended; there is nothing to cancel.",
  },
  output_invalid: {
    status: 502,
    type: "server_error",
    exit: 1,
    retry: false,
    about: "The model's answer is not what the JSON Schema of the task asks for.",
  },
  route_not_found: { status: 404, type: "invalid_request_error", exit: 1, retry: false, about: "No such path." },
  method_not_allowed: {
    status: 405,
    type: "invalid_request_error",
    exit: 1,
    retry: false,
    about: "The path exists, but not with this method.",
  },
  upgrade_required: {
    status: 426,
    type: "invalid_request_error",
    exit: 2,
    retry: false,
    about: "The path is for WebSockets.",
  },
  not_implemented: {
    status: 501,
    type: "invalid_request_error",
    exit: 1,
    retry: false,
    about: "An API that is followed here has this, and the daemon does not do it.",
  },
  missing_api_key: {
    status: 401,
    type: "authentication_error",
    exit: 1,
    retry: false,
    about: "The daemon requires an API key and the request has none.",
  },
  invalid_api_key: {
    status: 401,
    type: "authentication_error",
    exit: 1,
    retry: false,
    about: "The API key is not one of the daemon's.",
  },
  host_not_allowed: {
    status: 403,
    type: "permission_error",
    exit: 1,
    retry: false,
    about: "The Host header names no address of this daemon (a guard against DNS rebinding).",
  },
  origin_not_allowed: {
    status: 403,
    type: "permission_error",
    exit: 1,
    retry: false,
    about: "The page's origin is not on the list `[server] cors_origins`.",
  },
  insufficient_scope: {
    status: 403,
    type: "permission_error",
    exit: 1,
    retry: false,
    about: "The API key may not do this, or not use this model.",
  },
  key_not_found: {
    status: 404,
    type: "invalid_request_error",
    exit: 4,
    retry: false,
    about: "No stored API key has this name.",
  },
  key_exists: {
    status: 409,
    type: "invalid_request_error",
    exit: 1,
    retry: false,
    about: "An API key of this name exists already.",
  },
  // Capacity
  rate_limit_exceeded: {
    status: 429,
    type: "rate_limit_error",
    exit: 1,
    retry: true,
    about: "The API key has as many requests as its limits allow.",
  },
  queue_full: {
    status: 429,
    type: "rate_limit_error",
    exit: 1,
    retry: true,
    about: "Too many requests wait for this model.",
  },
  deadline_exceeded: {
    status: 504,
    type: "timeout_error",
    exit: 1,
    retry: true,
    about: "The request's own deadline passed before an answer could start.",
  },
  no_capacity: {
    status: 503,
    type: "overloaded_error",
    exit: 1,
    retry: true,
    about: "No device has room for the model and nothing may be evicted.",
  },
  model_too_large: {
    status: 503,
    type: "server_error",
    exit: 1,
    retry: false,
    about: "The model needs more memory than any device has for models, whatever else runs there.",
  },
  no_gpu: {
    status: 503,
    type: "overloaded_error",
    exit: 1,
    retry: false,
    about: "There is no such GPU on this machine.",
  },
  node_not_found: {
    status: 404,
    type: "invalid_request_error",
    exit: 4,
    retry: false,
    about: "No machine of the cluster has this name, or this one is in none.",
  },
  node_unavailable: {
    status: 503,
    type: "overloaded_error",
    exit: 1,
    retry: true,
    about: "The remote server that the model is on cannot be reached, or takes no work now.",
  },
  provider_unavailable: {
    status: 503,
    type: "overloaded_error",
    exit: 1,
    retry: true,
    about: "The provider that serves the model cannot be reached, or failed.",
  },
  provider_busy: {
    status: 429,
    type: "rate_limit_error",
    exit: 1,
    retry: true,
    about: "The provider that serves the model takes no more requests now.",
  },
  provider_timeout: {
    status: 504,
    type: "timeout_error",
    exit: 1,
    retry: true,
    about: "The provider that serves the model sent nothing within `timeout_s` of its entry.",
  },
  provider_rejected_key: {
    status: 502,
    type: "server_error",
    exit: 1,
    retry: false,
    about: "The provider rejects the key of its `[[providers]]` entry; the key of the request was fine.",
  },
  provider_error: {
    status: 502,
    type: "server_error",
    exit: 1,
    retry: false,
    about: "The provider's answer is not what its API promises, or it does not know the model.",
  },
  worker_unavailable: {
    status: 503,
    type: "overloaded_error",
    exit: 1,
    retry: true,
    about: "The worker that serves the model cannot be reached, or ended in the middle of its answer.",
  },
  worker_busy: {
    status: 503,
    type: "overloaded_error",
    exit: 1,
    retry: true,
    about: "Every worker that serves the model is busy with other requests.",
  },
  worker_error: {
    status: 502,
    type: "server_error",
    exit: 1,
    retry: false,
    about: "The worker's answer is not what the workers' protocol promises.",
  },
  worker_not_found: {
    status: 404,
    type: "invalid_request_error",
    exit: 4,
    retry: false,
    about: "No worker is registered under this name and endpoint.",
  },
  endpoint_not_allowed: {
    status: 403,
    type: "permission_error",
    exit: 1,
    retry: false,
    about: "The daemon may not be made to send requests to this address.",
  },
  shutting_down: { status: 503, type: "overloaded_error", exit: 1, retry: true, about: "The daemon is stopping." },
  // Models and engines
  model_failed: {
    status: 503,
    type: "server_error",
    exit: 1,
    retry: true,
    about: "The model's instances cannot be started; the message says why.",
  },
  model_not_pulled: {
    status: 503,
    type: "server_error",
    exit: 4,
    retry: false,
    about: "The model is configured but its file is not on this machine.",
  },
  model_invalid: {
    status: 422,
    type: "server_error",
    exit: 1,
    retry: false,
    about: "The model's file is not a GGUF that can be read.",
  },
  model_exists: {
    status: 409,
    type: "invalid_request_error",
    exit: 1,
    retry: false,
    about: "A model of this name is configured already.",
  },
  model_in_use: {
    status: 409,
    type: "invalid_request_error",
    exit: 1,
    retry: true,
    about: "The model is loaded, and what was asked for needs it not to be.",
  },
  engine_unavailable: {
    status: 503,
    type: "server_error",
    exit: 5,
    retry: false,
    about: "The engine the model asks for is not on this machine.",
  },
  engine_lost: {
    status: 502,
    type: "server_error",
    exit: 1,
    retry: true,
    about: "The engine could not be reached or died while it answered.",
  },
  engine_stopped: {
    status: 503,
    type: "overloaded_error",
    exit: 1,
    retry: true,
    about: "The instance was stopped, by an operator or to make room, while it answered.",
  },
  engine_error: {
    status: 502,
    type: "server_error",
    exit: 1,
    retry: true,
    about: "The engine answered with something that is not an answer.",
  },
  engine_build_failed: {
    status: 500,
    type: "server_error",
    exit: 5,
    retry: false,
    about: "llama-server could not be built.",
  },
  engine_in_use: {
    status: 409,
    type: "invalid_request_error",
    exit: 1,
    retry: false,
    about: "The build of llama-server is the one that models run on, and what was asked for needs it not to be.",
  },
  pull_failed: {
    status: 502,
    type: "server_error",
    exit: 1,
    retry: true,
    about: "No source could deliver the model; each one is listed with its reason.",
  },
  digest_mismatch: {
    status: 502,
    type: "server_error",
    exit: 1,
    retry: true,
    about: "What was downloaded is not what was expected.",
  },
  access_denied: {
    status: 403,
    type: "permission_error",
    exit: 1,
    retry: false,
    about: "The source gives the model only to accounts that have access to it; the message says how to get it.",
  },
  unknown_source: {
    status: 404,
    type: "invalid_request_error",
    exit: 4,
    retry: false,
    about: "A model reference that names nothing that can be pulled.",
  },
  stage_failed: {
    status: 502,
    type: "server_error",
    exit: 1,
    retry: true,
    about: "A stage of a pipeline failed, or what it depends on; the message says which and why.",
  },
  pipeline_invalid: {
    status: 503,
    type: "server_error",
    exit: 78,
    retry: false,
    about: "The pipeline cannot be used: its stages do not fit together, or one cannot be made.",
  },
  pipeline_not_found: {
    status: 404,
    type: "invalid_request_error",
    exit: 4,
    retry: false,
    about: "No pipeline has this name.",
  },
  // Daemon and machine
  config_invalid: {
    status: 500,
    type: "server_error",
    exit: 78,
    retry: false,
    about: "A configuration file has a mistake; the message names file, line and key.",
  },
  data_newer: {
    status: 500,
    type: "server_error",
    exit: 78,
    retry: false,
    about: "A file of the data directory was written by a newer version of Assistant.",
  },
  store_unavailable: {
    status: 503,
    type: "server_error",
    exit: 1,
    retry: true,
    about: "The store of durable records cannot be read or written now; the message says why.",
  },
  file_exists: {
    status: 409,
    type: "invalid_request_error",
    exit: 1,
    retry: false,
    about: "A file would be overwritten; `--force` allows it.",
  },
  daemon_not_running: {
    status: 503,
    type: "server_error",
    exit: 3,
    retry: false,
    about: "No daemon answers for this data directory.",
  },
  daemon_not_answering: {
    status: 503,
    type: "server_error",
    exit: 1,
    retry: true,
    about: "A daemon runs for this data directory, but no command reaches it.",
  },
  daemon_running: {
    status: 409,
    type: "server_error",
    exit: 1,
    retry: false,
    about: "Another daemon already serves the data directory.",
  },
  daemon_start_failed: {
    status: 500,
    type: "server_error",
    exit: 1,
    retry: false,
    about: "The daemon ended before it was ready; the message says why.",
  },
  address_in_use: {
    status: 500,
    type: "server_error",
    exit: 1,
    retry: false,
    about: "Another program listens on the address.",
  },
  not_writable: {
    status: 500,
    type: "server_error",
    exit: 1,
    retry: false,
    about: "A directory or file cannot be written.",
  },
  storage_quota_exceeded: {
    // As OpenAI has it: its clients send a 429 or 5xx again, which helps nobody here.
    status: 400,
    type: "invalid_request_error",
    exit: 1,
    retry: false,
    about: "The API key has as much stored as it may.",
  },
  disk_full: {
    status: 507,
    type: "server_error",
    exit: 1,
    retry: false,
    about: "The disk has no room for what is to be written.",
  },
  instance_not_found: {
    status: 404,
    type: "invalid_request_error",
    exit: 4,
    retry: false,
    about: "No instance has this id.",
  },
  usage: {
    status: 400,
    type: "invalid_request_error",
    exit: 2,
    retry: false,
    about: "A command was called with arguments that do not fit.",
  },
  internal: {
    status: 500,
    type: "server_error",
    exit: 70,
    retry: false,
    about: "A fault in Assistant itself. Please report it.",
  },
} as const satisfies Record<string, ErrorKind>;

interface ErrorKind {
  readonly status: number;
  readonly type: string;
  readonly exit: number;
  readonly retry: boolean;
  readonly about: string;
}

export type ErrorCode = keyof typeof errorCatalogue;

export interface ErrorDetails {
  /** The request field, config key or option that is wrong. */
  readonly param?: string;
  /** What to do about it, one sentence in the imperative. */
  readonly remedy?: string;
  /** Seconds after which a retry is worth while; rendered as `Retry-After`. */
  readonly retryAfterS?: number;
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
    return new AssistantError("disk_full", message, { remedy: "Free some room, then try again.", cause: error });
  if (code === "EACCES" || code === "EROFS" || code === "EPERM")
    return new AssistantError("not_writable", message, { cause: error });
  return new AssistantError("internal", message, { cause: error });
}

/**
 * What clients are shown of anything thrown: the text of a fault of ours may hold what is nobody's business, and what would
 * be an argument of a command is a field of a request.
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
  return new AssistantError(
    "internal",
    "Something went wrong inside Assistant; its log has the details under this request id.",
    { cause: thrown },
  );
}
