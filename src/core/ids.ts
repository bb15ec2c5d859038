import { randomBytes } from "node:crypto";

// One call of the generator fills ids for many requests: randomBytes costs a microsecond, slicing does not.
const POOL_BYTES = 4096;
let pool = "";
let offset = 0;

function randomHex(digits: number): string {
  if (offset + digits > pool.length) {
    pool = randomBytes(POOL_BYTES).toString("hex");
    offset = 0;
  }
  const hex = pool.slice(offset, offset + digits);
  offset += digits;
  return hex;
}

/** `req_` and 24 hex digits. */
export const newRequestId = (): string => `req_${randomHex(24)}`;

/** `task-` and 16 hex digits. */
export const newTaskId = (): string => `task-${randomHex(16)}`;

/** `conv_` and 12 hex digits. */
export const newConversationId = (): string => `conv_${randomHex(12)}`;

/** An item of a conversation: its kind (`msg`, `fc`, `fco`, `rs`), and 24 hex digits. */
export const newItemId = (kind: string): string => `${kind}_${randomHex(24)}`;
