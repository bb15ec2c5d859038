import { Agent, request } from "undici";
import { isPrivateHost, publicLookup } from "../../models/pull/addresses.ts";

/** The readable content of a page. */
export interface Document {
  readonly title: string;
  readonly text: string;
}

export interface FetchOptions {
  readonly signal: AbortSignal;
  /** Whether addresses of this machine and of private networks may be read. */
  readonly allowPrivate: boolean;
}

const MAX_BYTES = 4 * 2 ** 20;
const MAX_REDIRECTS = 5;
const TIMEOUT_MS = 20_000;

/** Rejects with a sentence for the user. */
export async function fetchDocument(written: string, { signal, allowPrivate }: FetchOptions): Promise<Document> {
  const agent = new Agent({ connect: allowPrivate ? {} : { lookup: publicLookup } });
  try {
    let url = checkedUrl(written, allowPrivate);
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      const { statusCode, headers, body } = await request(url, {
        dispatcher: agent,
        headers: { accept: "text/html, text/plain, text/*;q=0.9", "accept-encoding": "identity" },
        signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
      });
      if (statusCode >= 300 && statusCode < 400 && typeof headers.location === "string") {
        await body.dump();
        url = checkedUrl(new URL(headers.location, url).href, allowPrivate);
        continue;
      }
      if (statusCode !== 200) throw new Error(`${url.host} answered with status ${statusCode}.`);
      const type = String(headers["content-type"] ?? "text/html");
      if (!/^(?:text\/|application\/(?:xhtml|json|xml))/.test(type))
        throw new Error(`${url.href} is ${type.slice(0, 60)}; expected a page or a text.`);
      const text = decoded(await collected(body), type);
      return /html/.test(type) ? readablePage(text) : { title: url.href, text: text.trim() };
    }
    throw new Error(`${written} redirects more than ${MAX_REDIRECTS} times.`);
  } finally {
    await agent.destroy();
  }
}

function checkedUrl(written: string, allowPrivate: boolean): URL {
  const url = URL.parse(written);
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== "" || url.password !== "")
    throw new Error(`${JSON.stringify(written.slice(0, 200))} is no http or https URL.`);
  if (!allowPrivate && isPrivateHost(url.hostname))
    throw new Error(
      `${url.hostname} is an address of a private network, which is not read unless allow_private is set.`,
    );
  return url;
}

/** What the page says it is written in, where that is a known encoding. */
function decoded(bytes: Buffer, contentType: string): string {
  const charset = /charset="?([\w-]+)/i.exec(contentType)?.[1] ?? "utf-8";
  try {
    return new TextDecoder(charset).decode(bytes);
  } catch {
    return bytes.toString();
  }
}

async function collected(body: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of body) {
    bytes += part.length;
    if (bytes > MAX_BYTES) throw new Error(`The page is larger than ${MAX_BYTES / 2 ** 20} MiB.`);
    parts.push(part);
  }
  return Buffer.concat(parts);
}

const ENTITIES: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: " " };
const decodeEntities = (text: string): string =>
  text.replace(/&(?:#(\d{1,7})|#x([\da-f]{1,6})|(\w{2,8}));/gi, (whole, decimal, hex, name) => {
    if (name !== undefined) return ENTITIES[String(name).toLowerCase()] ?? whole;
    const code = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal);
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });

/** Parts of a page that are no text of it. */
const APART = /<(script|style|noscript|template|svg|nav|header|footer|aside|form)\b[^>]*>[\s\S]*?<\/\1\s*>/gi;
const BLOCKS = /<\/?(?:p|div|br|li|ul|ol|h[1-6]|tr|table|section|article|blockquote|pre|main|td|th)\b[^>]*>/gi;

/** The text of a page, a paragraph a line. Its article or main part, where it has one. */
export function readablePage(html: string): Document {
  const title = /<title[^>]*>([\s\S]*?)<\/title>/i.exec(html)?.[1] ?? "";
  const bare = html.replace(/<!--[\s\S]*?-->/g, "").replace(APART, "\n");
  const [, , part = bare] = /<(article|main)\b[^>]*>([\s\S]*)<\/\1\s*>/i.exec(bare) ?? [];
  const body = part
    .replace(/<head\b[\s\S]*?<\/head\s*>/i, "")
    .replace(BLOCKS, "\n")
    .replace(/<[^>]*>/g, "");
  const lines = decodeEntities(body)
    .split("\n")
    .map((line) => line.replace(/\s+/g, " ").trim());
  return { title: decodeEntities(title).replace(/\s+/g, " ").trim(), text: lines.filter(Boolean).join("\n") };
}
