/** Request headers that a daemon understands beside those of each dialect. docs/api.md describes them. */
export const requestHeaders = {
  /** The client's own id for the request. */
  id: "x-request-id",
  /** 0–100, higher first. */
  priority: "x-assistant-priority",
  /** Milliseconds after which an answer that has not begun is of no use. */
  timeoutMs: "x-assistant-timeout-ms",
  /** Ids of the daemons that a request has come through, first to last, separated by commas. */
  hops: "x-assistant-hops",
  /**
   * Names the cached prompts that may serve a request: only those of requests with the same value. What a client sends
   * divides its own tenant's scope further and leads into no other's, so that a daemon that forwards for several tenants
   * need not be trusted more than any client.
   */
  cacheScope: "x-cache-scope",
} as const;

/** What engines of ours say behind the last byte of an answer. */
export const answerTrailers = {
  /** Seconds of sound that were made: a compressed sound does not show it. */
  audioSeconds: "x-audio-seconds",
} as const;
