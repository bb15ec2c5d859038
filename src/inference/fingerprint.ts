import type { Fingerprint } from "./ports.ts";

/** English has about four bytes per token; used if no better estimate is given. */
export const fingerprintByLength: Fingerprint = ({ messages, text }) => ({
  promptTokens: Math.ceil(JSON.stringify(messages ?? text ?? "").length / 4),
  prefix: [],
});
