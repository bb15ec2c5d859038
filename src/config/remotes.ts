import type { ListenAddress, RemoteServer } from "../core/config.ts";
import { defaults } from "./defaults.ts";
import { at } from "./draft.ts";
import { type Environment, variable } from "./environment.ts";
import { type Findings, type Place, placeText } from "./findings.ts";
import { addressText, isWildcard, parseAddress } from "./network.ts";
import type { MainFile } from "./schema/main.ts";

type Entry = NonNullable<MainFile["remote_servers"]>[number];

/** Names become parts of instance ids, headers and file names. */
export const SERVER_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/**
 * The `[[remote_servers]]`, checked. What is wrong with an enabled entry is a mistake; a disabled one without an
 * address is left out.
 */
export function remotesOf(
  findings: Findings,
  entries: readonly Entry[],
  root: Place,
  env: Environment,
): RemoteServer[] {
  const remotes: RemoteServer[] = [];
  const places = new Map<string, Place>();
  for (const [index, entry] of entries.entries()) {
    const place = at(root, "remote_servers", index);
    const enabled = entry.enabled ?? true;
    const address = addressOf(findings, entry, place, enabled);
    if (address === null) continue;
    const name =
      entry.name ??
      addressText(address)
        .replaceAll(/[^A-Za-z0-9._-]/g, "-")
        .replace(/^-+/, "");
    const other = places.get(name);
    if (!SERVER_NAME.test(name)) {
      findings.mistake(
        at(place, "name"),
        `${JSON.stringify(name)} cannot be a server's name: expected up to 64 letters, digits and . _ -, beginning with a letter or digit`,
      );
    } else if (other !== undefined) {
      findings.mistake(
        place,
        `two remote servers have the name ${JSON.stringify(name)}, the other at ${placeText(other)}; rename one`,
      );
    } else {
      places.set(name, place);
      remotes.push({
        name,
        address,
        weight: entry.weight ?? defaults.remoteWeight,
        enabled,
        apiKey: keyOf(findings, entry, place, enabled, env),
      });
    }
  }
  return remotes;
}

function addressOf(findings: Findings, entry: Entry, place: Place, enabled: boolean): ListenAddress | null {
  const { grpc_addr: written = "" } = entry;
  if (written === "" && !enabled) return null;
  const address = reachableAddress(written);
  if (typeof address !== "string") return address;
  findings.mistake(
    entry.grpc_addr === undefined ? place : at(place, "grpc_addr"),
    entry.grpc_addr === undefined
      ? '`grpc_addr` is missing: expected the other machine\'s host:port, such as "192.168.1.20:50051"'
      : address,
  );
  return null;
}

/** The address at which a machine is reached, or what is wrong with it. */
export function reachableAddress(written: string): ListenAddress | string {
  const address = parseAddress(written);
  if (typeof address === "string") return address;
  if (address.port === 0) return "expected a port from 1 to 65535, found 0";
  return isWildcard(address.host)
    ? `${written} is a wildcard address; use the one at which other machines reach this one`
    : address;
}

/** The key of a section that says it, or the variable that holds it. */
export function keyOf(
  findings: Findings,
  entry: Pick<Entry, "api_key" | "api_key_env">,
  place: Place,
  enabled: boolean,
  env: Environment,
): string | null {
  if (entry.api_key !== undefined && entry.api_key_env !== undefined)
    findings.mistake(at(place, "api_key_env"), "there is an `api_key` too; keep one of the two");
  if (entry.api_key !== undefined) return entry.api_key;
  if (entry.api_key_env === undefined) return null;
  const key = variable(env, entry.api_key_env);
  if (key === null && enabled)
    findings.warning(
      at(place, "api_key_env"),
      `the environment variable ${entry.api_key_env} is not set, so that calls have no key; set it for the daemon`,
    );
  return key;
}
