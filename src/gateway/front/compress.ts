import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { FastifyReply, FastifyRequest } from "fastify";

/** Smaller answers do not arrive sooner when compressed. */
const MIN_BYTES = 1_024;
const COMPRESSIBLE = /^(?:application\/(?:json|javascript|yaml)|text\/(?!event-stream)|image\/svg)/;

const gzipped = promisify(gzip);

/** Compresses complete answers from memory, if the client accepts that. Streams are never buffered for it. */
export async function compressed(
  { method, headers }: FastifyRequest,
  reply: FastifyReply,
  payload: unknown,
): Promise<unknown> {
  const isWhole = typeof payload === "string" || Buffer.isBuffer(payload);
  if (!isWhole || method !== "GET" || reply.hasHeader("content-encoding")) return payload;
  if (Buffer.byteLength(payload) < MIN_BYTES || !COMPRESSIBLE.test(String(reply.getHeader("content-type"))))
    return payload;
  reply.header("vary", [reply.getHeader("vary") ?? [], "Accept-Encoding"].flat().join(", "));
  if (!takesGzip(headers["accept-encoding"])) return payload;
  reply.header("content-encoding", "gzip").removeHeader("content-length");
  return await gzipped(payload);
}

/** According to `Accept-Encoding`. */
export const takesGzip = (accepted: string | readonly string[] | undefined): boolean =>
  /(?:^|,)\s*(?:gzip|\*)\s*(?:;\s*q=(?:1|0?\.0*[1-9])[0-9.]*)?\s*(?:,|$)/i.test(String(accepted ?? ""));
