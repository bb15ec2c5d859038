import type { FastifyRequest } from "fastify";
import { parseBody } from "../canonical/decode.ts";
import { decodeContent } from "./content-encoding.ts";

/**
 * The JSON object of a body on fastify, within the limits of inference. Empty: undefined. Rejects as `parseBody`
 * throws.
 */
export async function readJson({ headers, routeOptions }: FastifyRequest, bytes: Buffer): Promise<unknown> {
  const decoded = await decodeContent(bytes, headers, routeOptions.bodyLimit);
  return decoded.length === 0 ? undefined : parseBody(decoded).json;
}
