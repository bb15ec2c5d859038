/** Request headers that the daemon supports in addition to those of each API. docs/api.md describes them. */
export const requestHeaders = {
  /** The client's own id for the request. */
  id: "x-request-id",
  /** 0–100, higher first. */
  priority: "x-assistant-priority",
  /** Deadline for the start of the answer, milliseconds from now. */
  timeoutMs: "x-assistant-timeout-ms",
  /** Ids of the daemons that forwarded the request, first to last, comma-separated. */
  hops: "x-assistant-hops",
  /**
   * Scope of cached prompts: only those of requests with the same value are reused. A value sent by a client subdivides
   * its own tenant's scope and never reaches another's, so a daemon that forwards for several tenants needs no special
   * trust.
   */
  cacheScope: "x-cache-scope",
} as const;

/** HTTP trailers of our own engines. */
export const answerTrailers = {
  /** Duration of the generated audio in seconds, which cannot be derived from compressed audio. */
  audioSeconds: "x-audio-seconds",
} as const;
