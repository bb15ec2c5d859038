import { AssistantError } from "../../core/errors.ts";

/** A parsed request target. */
export interface RequestTarget {
  /** Without query, decoded except for escaped slashes and the like, without a trailing slash. */
  readonly path: string;
  /** The same before decoding. */
  readonly escaped: string;
  /** Path and query as written, for a router: without scheme and host, and with single slashes. */
  readonly url: string;
  /** Host and port of a target in absolute form; null: it is in origin form. */
  readonly authority: string | null;
}

/**
 * Reads the target of a request line, in origin form or absolute form. Throws `invalid_request` on a broken percent
 * escape.
 */
export function parseTarget(written: string): RequestTarget {
  const url = written.startsWith("/") && !written.includes("//") ? written : normalized(written);
  const query = url.indexOf("?");
  const whole = query < 0 ? url : url.slice(0, query);
  const escaped = whole.length > 1 && whole.endsWith("/") ? whole.slice(0, -1) : whole;
  const authority = written.startsWith("/") ? null : (/^https?:\/\/([^/?#]+)/i.exec(written)?.[1] ?? null);
  return { path: escaped.includes("%") ? decode(escaped) : escaped, escaped, url, authority };
}

function normalized(written: string): string {
  const [target = "", ...query] = written.split("?");
  const origin = target.replace(/^https?:\/\/[^/]*/i, "").replace(/\/{2,}/g, "/");
  return [origin === "" ? "/" : origin, ...query].join("?");
}

function decode(escaped: string): string {
  try {
    // Like routers: an escaped slash does not separate segments.
    return decodeURI(escaped);
  } catch {
    throw brokenEscape(escaped);
  }
}

/** The parameters of a route's path, decoded, by name; the rest after `*` has that name. Throws like `parseTarget`. */
export function parametersOf(path: string, { escaped }: RequestTarget): Record<string, string> {
  const pattern = path.replace(/:(\w+)/g, "(?<$1>[^/]+)").replace("*", "(?<rest>.+)");
  const { rest, ...named } = new RegExp(`^${pattern}$`).exec(escaped)?.groups ?? {};
  const found = Object.entries(rest === undefined ? named : { ...named, "*": rest });
  return Object.fromEntries(found.map(([name, value]) => [name, decodeParameter(value)]));
}

/** A query, decoded. */
export const queryOf = ({ url }: RequestTarget): URLSearchParams =>
  new URLSearchParams(url.split("?").slice(1).join("?"));

function decodeParameter(escaped: string): string {
  try {
    return decodeURIComponent(escaped);
  } catch {
    throw brokenEscape(escaped);
  }
}

const brokenEscape = (escaped: string): AssistantError =>
  new AssistantError(
    "invalid_request",
    `The path ${JSON.stringify(escaped.slice(0, 200))} has a percent escape that is not UTF-8.`,
    { remedy: "Escape the path as RFC 3986 defines it." },
  );
