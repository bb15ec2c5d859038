/** An answer that is an error, in the shape and with the statuses of llama-server. */
export class SurfaceError extends Error {
  readonly status: number;
  readonly type: string;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(status: number, type: string, message: string, details: Readonly<Record<string, unknown>> = {}) {
    super(message);
    this.status = status;
    this.type = type;
    this.details = details;
  }

  get body(): object {
    return { error: { code: this.status, message: this.message, type: this.type, ...this.details } };
  }
}

export const invalid = (message: string): SurfaceError => new SurfaceError(400, "invalid_request_error", message);

/** 400 and not 501: the official clients repeat a request that failed with 500 or more. */
export const unsupported = (what: string): SurfaceError =>
  invalid(
    `${what} is not supported by the embedded engine. Use the native engine (\`assistant engine build\`) for it.`,
  );

export const contextExceeded = (promptTokens: number, contextTokens: number): SurfaceError =>
  new SurfaceError(
    400,
    "exceed_context_size_error",
    `request (${promptTokens} tokens) exceeds the available context size (${contextTokens} tokens), try increasing it`,
    { n_prompt_tokens: promptTokens, n_ctx: contextTokens },
  );
