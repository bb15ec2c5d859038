import type { IncomingMessage } from "node:http";
import { AssistantError, isAssistantError } from "../../core/errors.ts";
import type { ModelSpec } from "../../core/model.ts";
import type { RequestFacts } from "../../core/request.ts";
import { AnswerBroken, EngineUnreachable } from "../relay/relay.ts";
import { encodePost } from "../relay/upstream.ts";

type Body = Readonly<Record<string, unknown>>;

/** Ids of the daemons a request has come through, first to last, separated by commas. */
const HOPS_HEADER = "x-assistant-hops";
const MOST_LISTED = 16;
/** How often one request is tried, when machine after machine fails it before the first byte. */
export const MOST_TRIES = 5;

/** The daemons that have forwarded a request. Throws `invalid_request` on what is no list of ids. */
export function hopsOf(request: IncomingMessage): readonly string[] {
  const text = request.headers[HOPS_HEADER];
  if (text === undefined) return [];
  const hops = typeof text === "string" ? text.split(",").map((id) => id.trim()) : [];
  if (hops.length > 0 && hops.length <= MOST_LISTED && hops.every((id) => /^[\w.-]{1,64}$/.test(id))) return hops;
  throw new AssistantError(
    "invalid_request",
    `The header ${HOPS_HEADER} must list at most ${MOST_LISTED} ids of daemons; found ${JSON.stringify(String(text).slice(0, 80))}.`,
    {
      param: HOPS_HEADER,
    },
  );
}

export interface RemotePost {
  readonly path: string;
  readonly payload: Buffer;
  readonly body: Body;
  readonly model: ModelSpec;
  readonly facts: RequestFacts;
  readonly nodeId: string;
  readonly reusable: boolean;
  /** Headers that name the cache scope. */
  readonly scope: readonly string[];
}

/** A request as another machine gets it: by the model's own name, with what its daemon needs to treat it as ours would. */
export function encodeRemotePost({ path, payload, body, model, facts, nodeId, reusable, scope }: RemotePost): Buffer {
  // A name that is an alias here may be another model there.
  const named = body.model === model.name ? payload : Buffer.from(JSON.stringify({ ...(JSON.parse(payload.toString()) as Body), model: model.name }));
  const headers = [
    `x-request-id: ${facts.id}`,
    `${HOPS_HEADER}: ${[...(facts.hops ?? []), nodeId].join(", ")}`,
    `x-assistant-priority: ${facts.priority}`,
    ...scope,
  ];
  if (facts.deadlineAt !== null) headers.push(`x-assistant-timeout-ms: ${Math.max(0, facts.deadlineAt - Date.now())}`);
  return encodePost(path, named, reusable, headers);
}

/**
 * Whether a request that another machine has failed may be tried elsewhere, if the client has seen nothing of an answer:
 * the machine was away, broke off, was busy, refused us, or no longer has the model. What it says about the request itself holds anywhere.
 */
export function mayTryElsewhere(thrown: unknown): boolean {
  if (thrown instanceof EngineUnreachable) return true;
  if (thrown instanceof AnswerBroken && !thrown.betweenEvents) return false;
  const error = thrown instanceof AnswerBroken ? thrown.reason : thrown;
  if (!isAssistantError(error) || error.code === "deadline_exceeded") return false;
  return error.status >= 500 || error.status === 401 || error.status === 403 || error.status === 404 || error.status === 429;
}
