import type { IncomingMessage } from "node:http";
import { AssistantError } from "../../core/errors.ts";
import { ClientGone, type Departure } from "./departure.ts";

/** How much of a body that is too large is still read, so that the client gets to read the refusal. */
const DRAIN_BYTES = 64 * 1024 * 1024;
const DRAIN_MS = 2_000;

/**
 * The bytes of a request's body. Throws `body_too_large` over the limit, once the client has stopped sending or has
 * been listened to for long enough, and `ClientGone`. Empty bodies are returned as such.
 */
export function readBody(request: IncomingMessage, limitBytes: number, departure: Departure): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let length = 0;
    let drainTimer: NodeJS.Timeout | null = null;
    const settle = (result: () => void): void => {
      request.off("data", onData).off("end", onEnd).off("error", onError);
      departure.onCancel = null;
      if (drainTimer) clearTimeout(drainTimer);
      result();
    };
    const refuse = (): void => settle(() => reject(tooLarge(limitBytes)));
    const onData = (part: Buffer): void => {
      length += part.length;
      if (length <= limitBytes) parts.push(part);
      else if (length > limitBytes + DRAIN_BYTES) refuse();
      else drainTimer ??= setTimeout(refuse, DRAIN_MS);
    };
    const onEnd = (): void => {
      if (length > limitBytes) refuse();
      else settle(() => resolve(parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts)));
    };
    const onError = (error: Error): void => settle(() => reject(departure.cancelled ? new ClientGone() : error));
    const onGone = (): void => settle(() => reject(new ClientGone()));
    request.on("data", onData).once("end", onEnd).once("error", onError);
    departure.onCancel = onGone;
    if (departure.cancelled) onGone();
  });
}

const tooLarge = (limitBytes: number): AssistantError =>
  new AssistantError("body_too_large", `The request's body is larger than the ${Math.round((limitBytes / 2 ** 20) * 10) / 10} MiB that are allowed.`, {
    remedy: "Send less, or raise `[server] body_limit_mib`.",
  });
