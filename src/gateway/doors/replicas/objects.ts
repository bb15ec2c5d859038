import type { FastifyInstance, FastifyRequest } from "fastify";
import { OBJECTS_PATH } from "../../../api/objects.ts";
import { integer } from "../../../config/schema/kit.ts";
import { AssistantError } from "../../../core/errors.ts";
import { type JsonSchema, Type } from "../../../core/schema.ts";
import type { ObjectContentType, Objects } from "../../../objects/objects.ts";
import { parseBody } from "../../canonical/decode.ts";
import { checkedBody } from "../../front/checked-body.ts";
import { refuseContentEncoding } from "../../front/content-encoding.ts";
import type { RouteDescription } from "../../front/describe.ts";

const MAX_PAGE = 1_000;
const DEFAULT_MAX_AGE_S = 3_600;
const MAX_CLEANUP_BODY_BYTES = 10_000;
const MAX_TTL_S = 1_000_000_000;
const Cleanup = Type.Object({
  max_age_seconds: integer("Seconds; older ones are deleted.", { minimum: 0, maximum: 1_000_000_000 }),
});

const TYPES: Readonly<Record<ObjectContentType, string>> = {
  bytes: "application/octet-stream",
  json: "application/json",
};

const reference: JsonSchema = {
  title: "ObjectRef",
  type: "object",
  required: ["path", "key", "size", "created_at", "expires_at", "content_type"],
  properties: {
    path: { type: "string" },
    key: { type: "string" },
    size: { type: "integer" },
    created_at: { type: "number" },
    expires_at: { type: ["number", "null"] },
    content_type: { enum: ["bytes", "json"] },
  },
};
const answers = { "application/json": reference };
const described = (describe: RouteDescription) => ({ config: { describe } });

/** Objects that handlers pass to each other by reference. A key sees those that it has created. */
export function registerObjectRoutes(app: FastifyInstance, objects: Objects): void {
  app.register(async (scoped) => {
    // Contents are written to disk as they arrive, whatever their content type.
    scoped.removeAllContentTypeParsers();
    scoped.addContentTypeParser("*", (_, payload, done) => done(null, payload));
    const create = (request: FastifyRequest, key: string | null) => {
      refuseContentEncoding(request.headers);
      const content = (request.body ?? []) as AsyncIterable<Uint8Array>;
      return objects.create(tenantOf(request), key, contentTypeOf(request), content, ttlMsOf(request));
    };
    const body = { bodyType: "application/octet-stream", body: { type: "string", format: "binary" } } as const;
    const limit = { bodyLimit: Number.MAX_SAFE_INTEGER };
    const ttl = { type: "integer", minimum: 1, maximum: MAX_TTL_S, description: "Seconds to keep it." };
    const query = { properties: { ttl_seconds: ttl } };
    scoped.post(
      OBJECTS_PATH,
      { ...limit, ...described({ summary: "Create an object under a new key", ...body, query, answers }) },
      async (request, reply) => reply.code(201).send(await create(request, null)),
    );
    scoped.put(
      `${OBJECTS_PATH}/:key`,
      { ...limit, ...described({ summary: "Create or replace an object", ...body, query, answers }) },
      async (request, reply) => reply.code(201).send(await create(request, keyOf(request))),
    );
    scoped.get(OBJECTS_PATH, described({ summary: "List objects" }), async (request) => {
      const { limit: size = String(MAX_PAGE), after = null } = request.query as { limit?: string; after?: unknown };
      if (!/^\d{1,4}$/.test(size) || Number(size) < 1 || Number(size) > MAX_PAGE)
        throw new AssistantError(
          "invalid_request",
          `"limit" must be an integer from 1 to ${MAX_PAGE}; found "${size.slice(0, 40)}".`,
          {
            param: "limit",
          },
        );
      if (after !== null && typeof after !== "string")
        throw new AssistantError("invalid_request", '"after" must be given once.', { param: "after" });
      return await objects.list(tenantOf(request), { limit: Number(size), after });
    });
    scoped.get(`${OBJECTS_PATH}/:key`, described({ summary: "Read an object" }), async (request, reply) => {
      const { object, content } = await objects.read(tenantOf(request), keyOf(request));
      return await reply
        .type(TYPES[object.contentType])
        .header("content-length", content.bytes)
        .header("x-object-created-at", String(object.createdAt / 1000))
        .send(content.stream);
    });
    scoped.get(
      `${OBJECTS_PATH}/:key/ref`,
      described({ summary: "Show the reference of an object", answers }),
      async (request) => objects.ref(tenantOf(request), keyOf(request)),
    );
    scoped.delete(`${OBJECTS_PATH}/:key`, described({ summary: "Delete an object" }), async (request, reply) => {
      await objects.delete(tenantOf(request), keyOf(request));
      return await reply.code(204).send();
    });
    scoped.post(`${OBJECTS_PATH}/cleanup`, described({ summary: "Delete objects that are older" }), async (request) => {
      const { max_age_seconds: seconds = DEFAULT_MAX_AGE_S } = checkedBody(Cleanup, await jsonOf(request));
      return { deleted: await objects.cleanup(tenantOf(request), seconds * 1000) };
    });
  });
}

const tenantOf = ({ identity }: FastifyRequest): string => identity.caller.tenant;
const keyOf = ({ params }: FastifyRequest): string => (params as { readonly key: string }).key;

/** Null: the default retention of objects. */
function ttlMsOf({ query }: FastifyRequest): number | null {
  const { ttl_seconds: seconds } = query as { readonly ttl_seconds?: unknown };
  if (seconds === undefined) return null;
  if (typeof seconds === "string" && /^[1-9]\d{0,9}$/.test(seconds) && Number(seconds) <= MAX_TTL_S)
    return Number(seconds) * 1000;
  throw new AssistantError(
    "invalid_request",
    `"ttl_seconds" must be an integer from 1 to ${MAX_TTL_S}; found ${JSON.stringify(String(seconds).slice(0, 40))}.`,
    { param: "ttl_seconds" },
  );
}

const contentTypeOf = ({ headers }: FastifyRequest): ObjectContentType =>
  /^application\/(?:[\w.-]+\+)?json *(?:;|$)/i.test(headers["content-type"] ?? "") ? "json" : "bytes";

async function jsonOf({ body }: FastifyRequest): Promise<unknown> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of (body ?? []) as AsyncIterable<Uint8Array>) {
    bytes += part.length;
    if (bytes > MAX_CLEANUP_BODY_BYTES) throw new AssistantError("body_too_large", "The body is too long.");
    parts.push(part);
  }
  return bytes === 0 ? {} : parseBody(Buffer.concat(parts)).json;
}
