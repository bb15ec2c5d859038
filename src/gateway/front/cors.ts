import { AssistantError } from "../../core/errors.ts";

/**
 * Origins on this machine: pages of local servers, and the shells of desktop programs. `null` is not one of them: a
 * sandboxed frame on any web page also has that origin.
 */
const LOCAL_ORIGIN =
  /^(?:https?:\/\/(?:localhost|[\w.-]+\.localhost|127(?:\.\d{1,3}){3}|0\.0\.0\.0|\[::1?\])(?::\d{1,5})?|file:\/\/|(?:tauri|app|capacitor|ionic|vscode-webview|vscode-file):\/\/[\w.-]*)$/i;

/** Whether a request comes from a page or program of this machine, or from no page at all. */
export const isLocalOrigin = (origin: string | undefined): boolean => origin === undefined || LOCAL_ORIGIN.test(origin);

const EXPOSED =
  "x-request-id, x-assistant-model, x-assistant-instance, x-assistant-queue-ms, x-assistant-queue-place, x-assistant-expected-start-ms, retry-after";
const PREFLIGHT_AGE_S = 600;

/**
 * Response headers (name, value, …) that let a page of this origin read the answer. Throws `origin_not_allowed`: a page
 * that may not read answers should not cause work either. `host` is the request's Host header.
 */
export function corsHeaders(
  origin: string | undefined,
  host: string | undefined,
  allowed: readonly string[],
): string[] {
  if (origin === undefined) return [];
  if (!isAllowed(origin, host, allowed)) {
    throw new AssistantError(
      "origin_not_allowed",
      `Pages of the origin "${origin.slice(0, 100)}" may not use this daemon.`,
      {
        remedy: `Add "${origin.slice(0, 100)}" to \`[server] cors_origins\`.`,
      },
    );
  }
  return ["Access-Control-Allow-Origin", origin, "Vary", "Origin", "Access-Control-Expose-Headers", EXPOSED];
}

function isAllowed(origin: string, host: string | undefined, allowed: readonly string[]): boolean {
  if (isLocalOrigin(origin)) return true;
  // The daemon's own pages: the Host header has already been checked.
  if (host !== undefined && (origin === `http://${host}` || origin === `https://${host}`)) return true;
  return allowed.some((entry) => entry === "*" || entry.replace(/\/$/, "").toLowerCase() === origin.toLowerCase());
}

/** Additional headers of a preflight's response. */
export function preflightHeaders(requested: {
  readonly methods: string;
  readonly headers: string | undefined;
  readonly privateNetwork: boolean;
}): string[] {
  const headers = [
    "Access-Control-Allow-Methods",
    requested.methods,
    "Access-Control-Max-Age",
    String(PREFLIGHT_AGE_S),
  ];
  // Client libraries send their own headers (x-stainless-…): echoing them allows any.
  const names = (requested.headers ?? "authorization, content-type, x-api-key")
    .replace(/[^\w\-, ]/g, "")
    .slice(0, 1000);
  headers.push("Access-Control-Allow-Headers", names);
  if (requested.privateNetwork) headers.push("Access-Control-Allow-Private-Network", "true");
  return headers;
}
