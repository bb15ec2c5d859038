import type { IncomingHttpHeaders } from "node:http";
import { requestHeaders } from "../../api/headers.ts";
import { steadyClock } from "../../core/clock.ts";
import { AssistantError } from "../../core/errors.ts";
import type { InferenceCall } from "../../core/inference.ts";

const DEFAULT_PRIORITY = 50;
const MAX_PRIORITY = 100;
const MAX_TIMEOUT_MS = 86_400_000;
const MAX_HOPS_LISTED = 16;
/** Of the official clients. Those of Python write what they were given, such as `None` and `NOT_GIVEN`: no timeout. */
const OFFICIAL = "x-stainless-timeout";
const SECONDS_HEADERS = ["x-request-timeout", OFFICIAL] as const;

/**
 * The parts of a call that come from headers, the same for every door. Throws `invalid_request`. `priority`: the
 * default if no header sets it.
 */
export function callHeaders(
  headers: IncomingHttpHeaders,
  streamed: boolean,
  priority: number = DEFAULT_PRIORITY,
): Pick<InferenceCall, "priority" | "deadlineAt" | "hops" | "cachePart"> {
  return {
    priority: integerOf(headers, requestHeaders.priority, MAX_PRIORITY) ?? priority,
    deadlineAt: deadlineOf(headers, streamed),
    hops: hopsOf(headers),
    cachePart: headers[requestHeaders.cacheScope]?.toString() ?? null,
  };
}

/**
 * The deadline, in epoch milliseconds, for the start of an answer, or null: the earliest of `x-assistant-timeout-ms`,
 * `x-request-timeout` (seconds) and `x-stainless-timeout` (seconds). The last one limits the client's wait for a head,
 * which a waiting stream receives early, so it only applies to answers in one piece.
 */
function deadlineOf(headers: IncomingHttpHeaders, streamed: boolean): number | null {
  let timeoutMs = integerOf(headers, requestHeaders.timeoutMs, MAX_TIMEOUT_MS) ?? Number.POSITIVE_INFINITY;
  for (const name of SECONDS_HEADERS) {
    const text = headers[name];
    if (text === undefined || (streamed && name === OFFICIAL)) continue;
    const seconds = typeof text === "string" && /^\d{1,9}(?:\.\d{1,6})?$/.test(text) ? Number(text) : Number.NaN;
    if (Number.isNaN(seconds)) {
      if (name === OFFICIAL) continue;
      throw refused(name, "a number of seconds", text);
    }
    // The official client truncates to whole seconds.
    timeoutMs = Math.min(timeoutMs, (name === OFFICIAL ? seconds + 1 : seconds) * 1000);
  }
  return timeoutMs <= MAX_TIMEOUT_MS ? steadyClock.now() + timeoutMs : null;
}

/** The daemons that have forwarded the request. */
function hopsOf(headers: IncomingHttpHeaders): readonly string[] {
  const text = headers[requestHeaders.hops];
  if (text === undefined) return NO_HOPS;
  const hops = typeof text === "string" ? text.split(",").map((id) => id.trim()) : [];
  if (hops.length > 0 && hops.length <= MAX_HOPS_LISTED && hops.every((id) => /^[\w.-]{1,64}$/.test(id))) return hops;
  throw refused(requestHeaders.hops, `a list of at most ${MAX_HOPS_LISTED} ids of daemons`, text);
}

const NO_HOPS: readonly string[] = [];

function integerOf(headers: IncomingHttpHeaders, name: string, max: number): number | null {
  const text = headers[name];
  if (text === undefined) return null;
  const value = Number(text);
  if (typeof text === "string" && /^\d+$/.test(text) && value <= max) return value;
  throw refused(name, `an integer from 0 to ${max}`, text);
}

const refused = (name: string, expected: string, found: string | readonly string[]): AssistantError =>
  new AssistantError(
    "invalid_request",
    `The header ${name} must be ${expected}; found "${String(found).slice(0, 40)}".`,
    { param: name },
  );
