/** Longest message of an answer. An answer itself may be longer: it comes in several. */
export const MAX_MESSAGE_BYTES = 64 * 2 ** 20;

/** gRPC's status RESOURCE_EXHAUSTED. */
const RESOURCE_EXHAUSTED = 8;

/**
 * The limit that a message was longer than, if that is why a call failed, and whose message it was: gRPC's libraries
 * report both with the same status and text.
 */
export function tooLong(
  status: number | null,
  text: string,
): { readonly message: "answer" | "request"; readonly limit: string } | null {
  if (status !== RESOURCE_EXHAUSTED || !/message/i.test(text)) return null;
  const limit = /larger than (?:max \(\d+ vs\.? )?(\d+)/.exec(text)?.[1];
  if (limit === undefined) return null;
  return Number(limit) === MAX_MESSAGE_BYTES
    ? { message: "answer", limit: `${MAX_MESSAGE_BYTES / 2 ** 20} MiB` }
    : { message: "request", limit: `${limit} bytes` };
}
