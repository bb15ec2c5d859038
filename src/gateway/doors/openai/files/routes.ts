import multipart from "@fastify/multipart";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { JsonSchema } from "../../../../core/schema.ts";
import type { StoredRecord } from "../../../../core/store.ts";
import { type Body, integer, invalid, isString, oneOf, shown } from "../../../canonical/rules.ts";
import type { RouteDescription } from "../../../front/describe.ts";
import type { FileQuery, Files, StoredFile } from "./stored.ts";
import { uploaded } from "./upload.ts";

const MAX_PAGE = 1_000;

const file: JsonSchema = { title: "File", type: "object" };
const id: JsonSchema = { type: "string", pattern: "^file-[0-9a-f]{32}$" };
const params: JsonSchema = { type: "object", required: ["id"], properties: { id } };
const content = { "application/octet-stream": { type: "string", format: "binary" } };
const described = {
  upload: {
    summary: "Upload a file",
    bodyType: "multipart/form-data",
    body: {
      title: "FileForm",
      type: "object",
      required: ["file"],
      properties: { file: { type: "string", format: "binary" }, purpose: { type: "string" } },
    },
    answers: { "application/json": file },
  },
  list: {
    summary: "List files",
    query: {
      type: "object",
      properties: {
        purpose: { type: "string" },
        order: { enum: ["asc", "desc"] },
        limit: { type: "string", pattern: "^\\d{1,5}$" },
        after: id,
      },
    },
  },
  show: { summary: "Show a file", params, answers: { "application/json": file } },
  content: { summary: "Download a file", params, answers: content },
  delete: { summary: "Delete a file", params },
} satisfies Readonly<Record<string, RouteDescription>>;

/** Files in the format of OpenAI's API, which is LlamaEdge's too. */
export function registerFileRoutes(app: FastifyInstance, files: Files): void {
  app.register(async (scoped) => {
    await scoped.register(multipart);
    for (const prefix of ["", "/v1"]) {
      const path = `${prefix}/files`;
      scoped.post(path, { config: { describe: described.upload } }, async (request) =>
        shownFile(await uploaded(request, files)),
      );
      scoped.get(path, { config: { describe: described.list } }, async (request) => {
        const found = await files.list(tenantOf(request), queryOf(request.query as Body));
        const data = found.files.map(shownFile);
        return {
          object: "list",
          data,
          first_id: found.files[0]?.id ?? null,
          last_id: found.files.at(-1)?.id ?? null,
          has_more: found.hasMore,
        };
      });
      scoped.get(`${path}/:id`, { config: { describe: described.show } }, async (request) =>
        shownFile(await files.get(tenantOf(request), idOf(request))),
      );
      const download = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
        const found = await files.content(tenantOf(request), idOf(request));
        return await reply
          .type("application/octet-stream")
          .header("Content-Length", found.content.bytes)
          .header("Content-Disposition", `attachment; filename*=UTF-8''${encodeURIComponent(found.file.filename)}`)
          .send(found.content.stream);
      };
      scoped.get(`${path}/:id/content`, { config: { describe: described.content } }, download);
      scoped.get(`${path}/download/:id`, { config: { describe: described.content } }, download);
      scoped.delete(`${path}/:id`, { config: { describe: described.delete } }, async (request) => {
        await files.delete(tenantOf(request), idOf(request));
        return { id: idOf(request), object: "file", deleted: true };
      });
    }
  });
}

const tenantOf = ({ identity }: FastifyRequest): string => identity.caller.tenant;
const idOf = ({ params: given }: FastifyRequest): string => (given as { readonly id: string }).id;

const shownFile = ({ id: fileId, value, createdAt, expiresAt }: StoredRecord<StoredFile>): object => ({
  id: fileId,
  object: "file",
  bytes: value.bytes,
  created_at: Math.floor(createdAt / 1000),
  ...(expiresAt === null ? {} : { expires_at: Math.floor(expiresAt / 1000) }),
  filename: value.filename,
  purpose: value.purpose,
  status: "processed",
});

function queryOf({ purpose = null, order = "desc", limit = String(MAX_PAGE), after = null }: Body): FileQuery {
  const orders = oneOf("asc", "desc");
  if (!orders.passes(order)) throw invalid("order", `"order" must be ${orders.expected}; found ${shown(order)}.`);
  const size = isString(limit) && /^\d{1,5}$/.test(limit) ? Number(limit) : Number.NaN;
  if (!integer(1, 10_000).passes(size))
    throw invalid("limit", `"limit" must be an integer from 1 to 10000; found ${shown(limit)}.`);
  for (const [name, value] of Object.entries({ purpose, after }))
    if (value !== null && !isString(value)) throw invalid(name, `"${name}" must be given once.`);
  return {
    purpose: purpose as string | null,
    after: after as string | null,
    order: order as FileQuery["order"],
    limit: Math.min(size, MAX_PAGE),
  };
}
