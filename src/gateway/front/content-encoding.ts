import type { IncomingHttpHeaders } from "node:http";
import { promisify } from "node:util";
import { brotliDecompress, gunzip, inflate, type ZlibOptions, zstdDecompress } from "node:zlib";
import { AssistantError } from "../../core/errors.ts";
import { tooLarge } from "./body.ts";

type Decoder = (bytes: Buffer, options: ZlibOptions) => Promise<Buffer>;

const decoders: Readonly<Record<string, Decoder>> = {
  gzip: promisify(gunzip) as Decoder,
  "x-gzip": promisify(gunzip) as Decoder,
  deflate: promisify(inflate) as Decoder,
  br: promisify(brotliDecompress) as Decoder,
  zstd: promisify(zstdDecompress) as Decoder,
};

/** Throws `unsupported_media_type` for an encoding that is not supported. */
export function checkContentEncoding(headers: IncomingHttpHeaders): void {
  const encoding = encodingOf(headers);
  if (encoding === null || Object.hasOwn(decoders, encoding)) return;
  throw new AssistantError(
    "unsupported_media_type",
    `The content encoding must be gzip, deflate, br or zstd; found ${JSON.stringify(encoding.slice(0, 40))}.`,
    {
      param: "content-encoding",
      remedy: "Send the body as it is, or encode it once.",
    },
  );
}

/** Throws `unsupported_media_type` for any encoding, if a body is written to disk as it arrives. */
export function refuseContentEncoding(headers: IncomingHttpHeaders): void {
  if (encodingOf(headers) === null) return;
  throw new AssistantError(
    "unsupported_media_type",
    "Uploads are stored as they come: they have no content encoding.",
    {
      param: "content-encoding",
      remedy: "Send the body as it is, without the header Content-Encoding.",
    },
  );
}

/**
 * The body decoded from its `Content-Encoding`, in another thread and only up to the size limit: a kilobyte may expand
 * to a gigabyte. Throws `body_too_large`, or `invalid_request` if the bytes are not encoded that way.
 */
export async function decodeContent(bytes: Buffer, headers: IncomingHttpHeaders, limitBytes: number): Promise<Buffer> {
  const decoder = decoders[encodingOf(headers) ?? ""];
  if (decoder === undefined || bytes.length === 0) return bytes;
  try {
    return await decoder(bytes, { maxOutputLength: limitBytes });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") throw tooLarge(limitBytes);
    throw new AssistantError(
      "invalid_request",
      `The body does not match its content encoding: ${(error as Error).message}.`,
      { param: "content-encoding" },
    );
  }
}

/** Null: the body is not encoded. */
function encodingOf(headers: IncomingHttpHeaders): string | null {
  const encoding = headers["content-encoding"]?.trim().toLowerCase();
  return encoding === undefined || encoding === "" || encoding === "identity" ? null : encoding;
}
