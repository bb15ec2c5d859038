import type { Readable } from "node:stream";
import { isPrivateHost, privateAddressError, publicLookup } from "./addresses.ts";
import { HttpFailure } from "./http-failure.ts";
import type { Delivery, Expected } from "./types.ts";

export interface HttpAccess {
  readonly allowPrivate: boolean;
  /** Sent as a bearer token to the origin of the first URL, and to no other. */
  readonly bearer: string | null;
}

/** The last answer of a chain of redirects. */
export interface Answer {
  readonly status: number;
  /** The final source after redirects. */
  readonly url: URL;
  readonly body: Readable;
  /** Bytes of the body, or null. */
  readonly length: number | null;
  readonly rangeStart: number | null;
  readonly rangeTotal: number | null;
  readonly acceptsRanges: boolean;
  /** For `If-Range`: a strong ETag, otherwise the date of the last change, otherwise null. */
  readonly validator: string | null;
  /** What the hub's own headers say of the file. */
  readonly told: Expected;
}

export interface HttpSession extends AsyncDisposable {
  /** `begunAt`: the address whose origin gets the bearer token, where `url` is one that it redirected to. */
  get(
    url: URL,
    headers: Record<string, string>,
    options?: { readonly begunAt?: URL; readonly signal?: AbortSignal },
  ): Promise<Answer>;
}

const MAX_REDIRECTS = 10;
const MAX_TEXT_BYTES = 64 * 2 ** 20;

/**
 * Connections through the proxies of `env`, with the limits of `timing`. Dispose it: open connections keep the process
 * alive.
 */
export function httpSession(
  { env, timing, signal, expected }: Pick<Delivery, "env" | "timing" | "signal" | "expected">,
  access: HttpAccess,
): HttpSession {
  // Loading undici takes 30 MB and an eighth of a second, which a daemon that pulls nothing is spared.
  const open = async () => {
    const { EnvHttpProxyAgent, request } = await import("undici");
    const agent = new EnvHttpProxyAgent({
      // Empty, not absent: what is absent undici takes from the process's own environment.
      httpProxy: env["http_proxy"] ?? env["HTTP_PROXY"] ?? "",
      httpsProxy: env["https_proxy"] ?? env["HTTPS_PROXY"] ?? "",
      noProxy: env["no_proxy"] ?? env["NO_PROXY"] ?? "",
      connectTimeout: timing.connectMs,
      headersTimeout: timing.stallMs,
      bodyTimeout: timing.stallMs,
      ...(access.allowPrivate ? {} : { connect: { lookup: publicLookup } }),
    });
    return { agent, request };
  };
  let opened: ReturnType<typeof open> | null = null;
  return {
    async get(from, headers, { begunAt: first = from, signal: own } = {}) {
      opened ??= open();
      const { agent, request } = await opened;
      let told: Expected = { bytes: null, sha256: null };
      let url = from;
      for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
        if (!access.allowPrivate && isPrivateHost(url.hostname)) throw privateAddressError(url.hostname);
        const authorization =
          access.bearer !== null && url.origin === first.origin ? { authorization: `Bearer ${access.bearer}` } : {};
        const answer = await request(url, {
          dispatcher: agent,
          signal: own === undefined ? signal : AbortSignal.any([signal, own]),
          // Compressed on the way, ranges and lengths would mean other bytes than the file's.
          headers: { "user-agent": "assistant", "accept-encoding": "identity", ...headers, ...authorization },
        });
        if (url.origin === first.origin) told = hubFacts(answer.headers, told);
        const location = header(answer.headers, "location");
        if (answer.statusCode < 300 || answer.statusCode >= 400 || location === null)
          return read(answer.statusCode, url, answer.headers, answer.body, told);
        await answer.body.dump();
        const next = new URL(location, url);
        if (!["http:", "https:"].includes(next.protocol))
          throw new HttpFailure(answer.statusCode, `it redirects to ${next.protocol} which is not followed`);
        if (url.protocol === "https:" && next.protocol === "http:" && expected.sha256 === null) {
          throw new HttpFailure(
            answer.statusCode,
            `it redirects to unencrypted ${next.origin}, which is followed only where a SHA-256 is given`,
          );
        }
        url = next;
      }
      throw new HttpFailure(310, `it redirects more than ${MAX_REDIRECTS} times`);
    },
    async [Symbol.asyncDispose]() {
      await (await opened)?.agent.destroy();
    },
  };
}

/** A body that is text, such as JSON. Rejects where it is longer than any of these is. */
export async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > MAX_TEXT_BYTES) throw new Error(`it sent more than ${MAX_TEXT_BYTES} bytes of text`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

type Headers = Record<string, string | string[] | undefined>;

const header = (headers: Headers, name: string): string | null => {
  const value = headers[name];
  return (Array.isArray(value) ? value[0] : value) ?? null;
};

function read(status: number, url: URL, headers: Headers, body: Readable, told: Expected): Answer {
  // Errors go to the reader of the body; an abandoned body must not crash the process.
  body.on("error", () => {});
  const length = header(headers, "content-length");
  const range = /^bytes (?:(\d+)-\d+|\*)\/(\d+|\*)$/.exec(header(headers, "content-range") ?? "");
  const etag = header(headers, "etag");
  return {
    status,
    url,
    body,
    length: length === null ? null : Number(length),
    rangeStart: range?.[1] === undefined ? null : Number(range[1]),
    rangeTotal: range?.[2] === undefined || range[2] === "*" ? null : Number(range[2]),
    acceptsRanges: status === 206 || header(headers, "accept-ranges") === "bytes",
    validator: etag !== null && !etag.startsWith("W/") ? etag : header(headers, "last-modified"),
    told,
  };
}

/** The hub names size and digest of a large file in the answer that redirects to its storage. */
function hubFacts(headers: Headers, known: Expected): Expected {
  const digest = /^"?([0-9a-f]{64})"?$/.exec(header(headers, "x-linked-etag") ?? "");
  const size = Number(header(headers, "x-linked-size") ?? Number.NaN);
  return { bytes: Number.isSafeInteger(size) ? size : known.bytes, sha256: digest?.[1] ?? known.sha256 };
}
