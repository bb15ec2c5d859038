import { AssistantError } from "../../core/errors.ts";

/** What a request's target names. */
export interface RequestTarget {
  /** Without query, decoded but for escaped slashes and their like, without a slash at its end. */
  readonly path: string;
  /** The same before it was decoded. */
  readonly escaped: string;
  /** Path and query as they were written, for a router: without scheme and host, and each slash once. */
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
    // As routers do: an escaped slash separates nothing.
    return decodeURI(escaped);
  } catch {
    throw brokenEscape(escaped);
  }
}

/** The parameters of a route's path, decoded, by name; the rest after `*` is named so. Throws as `parseTarget` does. */
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
