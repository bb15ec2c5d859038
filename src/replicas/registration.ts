import { createHash } from "node:crypto";
import { AssistantError } from "../core/errors.ts";
import type { Capabilities } from "../core/model.ts";

/** A server of capabilities: one of our workers, or any server of the Open Inference Protocol. */
export interface Registration {
  readonly replicaId: string;
  /** `http://HOST:PORT`, or `HOST:PORT` for gRPC. */
  readonly endpoint: string;
  readonly capabilities: readonly Capabilities[];
  /** Requests it works on at once. */
  readonly slots: number;
}

/** What the Open Inference Protocol calls a handler: `type` of its capability is the name, `model` the version. */
export interface HandlerName {
  readonly name: string;
  readonly version: string;
}

/** Of a capability without `type` the name is `model`. */
export function handlerName({ type, model }: Capabilities): HandlerName {
  if (type === undefined) return { name: model === undefined ? "" : String(model), version: "" };
  return { name: String(type), version: model === undefined ? "" : String(model) };
}

/**
 * The model under which a capability is listed and can be named: its `model`, else its `type`, else a name made from
 * all of it.
 */
export function modelNameOf(capability: Capabilities): string {
  const { name, version } = handlerName(capability);
  const given = version === "" ? name : version;
  const plain = given.replace(/[^A-Za-z0-9._:+-]/g, "-").slice(0, 128);
  if (/^[A-Za-z0-9]/.test(plain)) return plain;
  return `handler-${createHash("sha256")
    .update(JSON.stringify(Object.entries(capability).sort()))
    .digest("hex")
    .slice(0, 8)}`;
}

/** Whether the endpoint is one of gRPC. */
export const isGrpc = (endpoint: string): boolean => !/^https?:\/\//.test(endpoint);

/** The host of an endpoint. Throws `invalid_request` for what no replica answers at. */
export function hostOf(endpoint: string): string {
  const isHttp = /^https?:\/\/\S+$/.test(endpoint) && URL.canParse(endpoint);
  const url = isHttp ? new URL(endpoint) : null;
  if (url !== null && url.username === "" && url.password === "") return url.hostname;
  const host = url === null ? /^(?:grpc:\/\/)?([\w.-]+|\[[0-9A-Fa-f:]+\]):\d{1,5}$/.exec(endpoint)?.[1] : undefined;
  if (host !== undefined) return host;
  throw new AssistantError(
    "invalid_request",
    `"endpoint" must be an address such as http://127.0.0.1:9000, or 127.0.0.1:8001 for gRPC; found ${JSON.stringify(endpoint.slice(0, 80))}.`,
    { param: "endpoint" },
  );
}
