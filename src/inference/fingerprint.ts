import type { Fingerprint } from "./ports.ts";

/** About four bytes of English make a token; used where no better estimate is given. */
export const fingerprintByLength: Fingerprint = ({ messages, text }) => ({
  promptTokens: Math.ceil(JSON.stringify(messages ?? text ?? "").length / 4),
  prefix: [],
});
