import type { IncomingMessage } from "node:http";
import type { Cancellation } from "../../core/cancellation.ts";
import { AssistantError } from "../../core/errors.ts";
import { CallerGone } from "../../core/upstream.ts";
import { withOthers } from "./disconnect.ts";
import { type ClientPace, watchPace } from "./pace.ts";

/** How much of an oversized body is still read, so that the client can read the refusal. */
const DRAIN_BYTES = 64 * 1024 * 1024;
const DRAIN_MS = 2_000;

/**
 * The bytes of a request's body. Throws `body_too_large` above the limit (once the client has stopped sending, or has
 * sent enough), `request_timeout` if it arrives too slowly, and `CallerGone`. Empty bodies are returned as such.
 */
export function readBody(
  request: IncomingMessage,
  limitBytes: number,
  cancellation: Cancellation,
  { bodyMs }: Pick<ClientPace, "bodyMs">,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let length = 0;
    let drainTimer: NodeJS.Timeout | null = null;
    let settled = false;
    /** False: it was settled before, and the cancellation now has another listener. */
    const settle = (): boolean => {
      if (settled) return false;
      settled = true;
      cancellation.onCancel = null;
      endWatch?.();
      if (drainTimer) clearTimeout(drainTimer);
      return true;
    };
    const fail = (error: Error): void => {
      if (!settle()) return;
      request.off("data", onData);
      reject(error);
    };
    let endWatch: (() => void) | null = null;
    // Most bodies arrive together with their heads.
    process.nextTick(() => {
      if (settled || request.complete) return;
      endWatch = watchPace(
        () => length,
        bodyMs,
        () => fail(tooSlow()),
      );
    });
    const refuse = (): void => fail(tooLarge(limitBytes));
    const onData = (part: Buffer): void => {
      length += part.length;
      if (length <= limitBytes) parts.push(part);
      else if (length > limitBytes + DRAIN_BYTES) refuse();
      else drainTimer ??= setTimeout(refuse, DRAIN_MS);
    };
    // Listeners are discarded with the request: removing each of them would cost more than they do.
    request.on("data", onData);
    request.on("end", () => {
      if (length > limitBytes) return refuse();
      // Requests that arrived in one turn continue together, step by step: the same code runs for all of them in
      // succession.
      if (settle()) withOthers(() => resolve(parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts)));
    });
    request.on("error", (error) => fail(cancellation.cancelled ? new CallerGone() : error));
    cancellation.onCancel = fail;
    if (cancellation.reason !== null) fail(cancellation.reason);
  });
}

export const tooSlow = (): AssistantError =>
  new AssistantError("request_timeout", "The request body arrived too slowly.", {
    remedy: "Send it again, over a connection that does not stall.",
  });

export const tooLarge = (limitBytes: number): AssistantError =>
  new AssistantError(
    "body_too_large",
    `The request's body is larger than the ${Math.round((limitBytes / 2 ** 20) * 10) / 10} MiB that are allowed.`,
    {
      remedy: "Send less, or raise `[server] body_limit_mib`.",
    },
  );
