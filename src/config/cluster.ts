import { hostname } from "node:os";
import type { ClusterSettings, ListenAddress } from "../core/config.ts";
import { defaults } from "./defaults.ts";
import { at } from "./draft.ts";
import { type Environment, variable } from "./environment.ts";
import { type Findings, noFile, type Place } from "./findings.ts";
import { keyOf, reachableAddress, SERVER_NAME } from "./remotes.ts";
import type { MainFile } from "./schema/main.ts";

const VARIABLE = "ASSISTANT_CLUSTER_URL";
const KEY_VARIABLE = "ASSISTANT_CLUSTER_API_KEY";

/** The settings of `[cluster]` and the environment; null: a single daemon. */
export function clusterOf(
  { cluster }: MainFile,
  findings: Findings,
  root: Place,
  env: Environment,
): ClusterSettings | null {
  const written = urlOf(cluster, findings, root, env);
  if (written === null) return null;
  const url = URL.parse(written.url);
  if (url !== null && (url.protocol === "redis:" || url.protocol === "rediss:") && url.hostname !== "")
    return {
      url: written.url,
      name: cluster?.name ?? hostName(),
      advertise: cluster?.advertise === undefined ? null : reachable(cluster.advertise, findings, root),
      apiKey: variable(env, KEY_VARIABLE) ?? keyOf(findings, cluster ?? {}, at(root, "cluster"), true, env),
      lostAfterMs: (cluster?.lost_after_s ?? defaults.clusterLostAfterS) * 1_000,
    };
  // The text may hold a password.
  findings.mistake(written.place, "expected a URL such as `redis://127.0.0.1:6379/0`; found something else");
  return null;
}

function urlOf(
  section: MainFile["cluster"],
  findings: Findings,
  root: Place,
  env: Environment,
): { readonly url: string; readonly place: Place } | null {
  const overriding = variable(env, VARIABLE);
  if (overriding !== null) return { url: overriding, place: { source: noFile(VARIABLE), path: [] } };
  if (section?.url !== undefined && section.url_env !== undefined)
    findings.mistake(at(root, "cluster", "url_env"), "`url` and `url_env` are both given; remove one");
  if (section?.url !== undefined) return { url: section.url, place: at(root, "cluster", "url") };
  if (section?.url_env === undefined) return null;
  const place = at(root, "cluster", "url_env");
  const url = variable(env, section.url_env);
  if (url === null) {
    findings.mistake(place, `the environment variable ${section.url_env} is not set`);
    return null;
  }
  return { url, place };
}

/** The machine's name, converted to a valid one. */
function hostName(): string {
  const name = hostname()
    .replaceAll(/[^A-Za-z0-9._-]/g, "-")
    .slice(0, 64);
  return SERVER_NAME.test(name) ? name : "node";
}

function reachable(written: string, findings: Findings, root: Place): ListenAddress | null {
  const address = reachableAddress(written);
  if (typeof address !== "string") return address;
  findings.mistake(at(root, "cluster", "advertise"), address);
  return null;
}
