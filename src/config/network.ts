import { BlockList, isIP, isIPv6 } from "node:net";
import type { ListenAddress } from "../core/config.ts";

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");
const everywhere = new BlockList();
everywhere.addAddress("0.0.0.0", "ipv4");
everywhere.addAddress("::", "ipv6");

/**
 * Parses `host:port` with an IPv4 address, a bracketed IPv6 address or a name. Returns a sentence on what is wrong
 * instead of throwing.
 */
export function parseAddress(text: string): ListenAddress | string {
  const match = /^(?:\[([^\]]+)\]|([^:\s/]*)):(\d{1,5})$/.exec(text.trim());
  const port = Number(match?.[3]);
  if (match === null || port > 65535) {
    const hint = /^\w+:\/\//.test(text)
      ? "; leave out the scheme"
      : isIP(text) !== 0 || !text.includes(":")
        ? "; the port is missing"
        : "";
    return `expected host:port with a port from 0 to 65535, such as "127.0.0.1:8080" or "[::1]:8080", found ${JSON.stringify(text)}${hint}`;
  }
  const [, bracketed, name] = match;
  if (bracketed !== undefined && !isIPv6(bracketed))
    return `expected an IPv6 address in brackets, found ${JSON.stringify(bracketed)}`;
  // `:8080` is how many programs write "every address".
  return { host: bracketed ?? (name === "" || name === undefined || name === "*" ? "0.0.0.0" : name), port };
}

export function addressText({ host, port }: ListenAddress): string {
  return `${isIPv6(host) ? `[${host}]` : host}:${port}`;
}

export function isLoopback(host: string): boolean {
  const family = isIP(host);
  if (family === 0) return /^(.+\.)?localhost\.?$/i.test(host);
  return loopback.check(host, family === 6 ? "ipv6" : "ipv4");
}

export function isWildcard(host: string): boolean {
  const family = isIP(host);
  return family !== 0 && everywhere.check(host, family === 6 ? "ipv6" : "ipv4");
}

/** Access from other machines. */
export interface RemotePolicy {
  readonly hasKeys: boolean;
  readonly allowRemote: boolean;
}

export type Bind =
  | { readonly outcome: "ok" | "narrowed"; readonly address: ListenAddress; readonly message: string | null }
  | { readonly outcome: "refused"; readonly message: string };

/**
 * The address to listen on. Without a key or explicit permission, a wildcard becomes loopback (files written for other
 * systems contain 0.0.0.0 by default) and any other external address is refused.
 */
export function bind(address: ListenAddress, { hasKeys, allowRemote }: RemotePolicy): Bind {
  if (isLoopback(address.host) || hasKeys || allowRemote) return { outcome: "ok", address, message: null };
  const ways =
    "create a key (`assistant key create NAME`, ASSISTANT_API_KEY, or [server] api_key_sha256), " +
    "or write `allow_remote = true` under [server] in config.toml to serve everyone who can reach it";
  if (!isWildcard(address.host)) {
    return {
      outcome: "refused",
      message: `${addressText(address)} can be reached from other machines, and no API key is set: ${ways}, or use 127.0.0.1:${address.port}`,
    };
  }
  const narrowed = { host: isIPv6(address.host) ? "::1" : "127.0.0.1", port: address.port };
  return {
    outcome: "narrowed",
    address: narrowed,
    message: `${addressText(address)} would be open to everyone on the network without a key, so only ${addressText(narrowed)} is used: ${ways}`,
  };
}
