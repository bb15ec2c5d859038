import type { FastifyInstance, FastifyRequest } from "fastify";
import type { JsonSchema } from "../../../../core/schema.ts";
import type { StoredRecord } from "../../../../core/store.ts";
import { type Body, integer, invalid, isObject, isString, mustBe, oneOf, shown } from "../../../canonical/rules.ts";
import type { RouteDescription } from "../../../front/describe.ts";
import type { Batches, NewBatch } from "./batches.ts";
import { type StoredBatch, shownBatch } from "./record.ts";

const MAX_PAGE = 100;
const DEFAULT_PAGE = 20;
const MAX_METADATA = 16;
const HOUR_MS = 3_600_000;
const HOURS = { h: 1, d: 24 } as const;
const MAX_WINDOW_HOURS = 7 * HOURS.d;
const FIELDS = ["input_file_id", "endpoint", "completion_window", "metadata", "output_expires_after"];

const batch: JsonSchema = { title: "Batch", type: "object" };
const params: JsonSchema = {
  type: "object",
  required: ["id"],
  properties: { id: { type: "string", pattern: "^batch_[0-9a-f]{32}$" } },
};
const answers = { "application/json": batch };
const described = (endpoints: readonly string[]) =>
  ({
    create: {
      summary: "Answer a file of requests later",
      body: {
        title: "BatchRequest",
        type: "object",
        required: FIELDS.slice(0, 3),
        properties: {
          input_file_id: { type: "string", pattern: "^file-[0-9a-f]{32}$" },
          endpoint: { enum: endpoints },
          completion_window: { type: "string", pattern: "^[1-9]\\d{0,2}[hd]$" },
          metadata: { type: ["object", "null"] },
          output_expires_after: { type: ["object", "null"] },
        },
        additionalProperties: false,
      },
      answers,
    },
    list: {
      summary: "List batches",
      query: { type: "object", properties: { after: { type: "string" }, limit: { type: "string" } } },
      answers: { "application/json": { type: "object" } },
    },
    show: { summary: "Show a batch", params, answers },
    cancel: { summary: "End a batch", params, answers },
  }) satisfies Readonly<Record<string, RouteDescription>>;

/** Batches in the format of OpenAI's API. */
export function registerBatchRoutes(app: FastifyInstance, batches: Batches): void {
  const describe = described(batches.endpoints);
  for (const prefix of ["", "/v1"]) {
    const path = `${prefix}/batches`;
    app.post(path, { config: { describe: describe.create } }, async (request) =>
      shownRecord(await batches.create(tenantOf(request), orderOf(request.body, batches.endpoints))),
    );
    app.get(path, { config: { describe: describe.list } }, async (request) => {
      const found = await batches.list(tenantOf(request), queryOf(request.query as Body));
      return {
        object: "list",
        data: found.batches.map(shownRecord),
        first_id: found.batches[0]?.id ?? null,
        last_id: found.batches.at(-1)?.id ?? null,
        has_more: found.hasMore,
      };
    });
    app.get(`${path}/:id`, { config: { describe: describe.show } }, async (request) =>
      shownRecord(await batches.get(tenantOf(request), idOf(request))),
    );
    app.post(`${path}/:id/cancel`, { config: { describe: describe.cancel } }, async (request) =>
      shownRecord(await batches.cancel(tenantOf(request), idOf(request))),
    );
  }
}

const tenantOf = ({ identity }: FastifyRequest): string => identity.caller.tenant;
const idOf = ({ params: given }: FastifyRequest): string => (given as { readonly id: string }).id;
const shownRecord = ({ id, value, createdAt }: StoredRecord<StoredBatch>): object => shownBatch(id, value, createdAt);

/** Throws `invalid_request` naming the field. */
function orderOf(body: unknown, endpoints: readonly string[]): NewBatch {
  if (!isObject(body)) throw invalid("", `The body must be a JSON object; found ${shown(body)}.`);
  const unknown = Object.keys(body).find((name) => !FIELDS.includes(name));
  if (unknown !== undefined)
    throw invalid(unknown.slice(0, 100), `There is no field ${shown(unknown)}; expected one of ${FIELDS.join(", ")}.`);
  const { input_file_id: inputFileId, endpoint, completion_window: completionWindow } = body;
  if (!isString(inputFileId))
    throw invalid("input_file_id", `"input_file_id" must be the id of a file; found ${shown(inputFileId)}.`);
  mustBe(oneOf(...endpoints), endpoint, "endpoint");
  return {
    inputFileId,
    endpoint: endpoint as string,
    completionWindow: completionWindow as string,
    windowMs: windowOf(completionWindow),
    metadata: metadataOf(body["metadata"]),
    outputExpiresAfterS: expiryOf(body["output_expires_after"]),
  };
}

function windowOf(written: unknown): number {
  const [, count, unit] = (isString(written) ? /^([1-9]\d{0,2})([hd])$/.exec(written) : null) ?? [];
  const hours = Number(count) * HOURS[unit as keyof typeof HOURS];
  if (hours <= MAX_WINDOW_HOURS) return hours * HOUR_MS;
  throw invalid(
    "completion_window",
    `"completion_window" must be hours or days, such as "24h", and at most "7d"; found ${shown(written)}.`,
  );
}

function metadataOf(given: unknown): NewBatch["metadata"] {
  if (given === undefined || given === null) return null;
  const entries = isObject(given) ? Object.entries(given) : null;
  const isUsable =
    entries !== null &&
    entries.length <= MAX_METADATA &&
    entries.every(([name, value]) => name.length <= 64 && isString(value) && value.length <= 512);
  if (isUsable) return given as NewBatch["metadata"];
  const expected = `an object of at most ${MAX_METADATA} names of up to 64 characters with strings of up to 512`;
  throw invalid("metadata", `"metadata" must be ${expected}; found ${shown(given)}.`);
}

function expiryOf(given: unknown): number | null {
  if (given === undefined || given === null) return null;
  const { anchor, seconds } = isObject(given) ? given : {};
  mustBe(oneOf("created_at"), anchor, "output_expires_after.anchor");
  mustBe(integer(3_600, 2_592_000), seconds, "output_expires_after.seconds");
  return seconds as number;
}

function queryOf({ limit = String(DEFAULT_PAGE), after = null }: Body): {
  readonly limit: number;
  readonly after: string | null;
} {
  const size = isString(limit) && /^\d{1,3}$/.test(limit) ? Number(limit) : Number.NaN;
  const rule = integer(1, MAX_PAGE);
  if (!rule.passes(size)) throw invalid("limit", `"limit" must be ${rule.expected}; found ${shown(limit)}.`);
  if (after !== null && !isString(after)) throw invalid("after", '"after" must be given once.');
  return { limit: size, after };
}
