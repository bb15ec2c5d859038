/** Which peers there are, where their programs lie, and how those that can be had are installed. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { accessSync, constants, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { benchRoot } from "../lib/report.ts";
import type { PeerName } from "./launch.ts";

export type Found =
  | { readonly peer: PeerName; readonly program: string; readonly version: string }
  | { readonly peer: string; readonly missing: string };

export const peerNames: readonly PeerName[] = [
  "nginx",
  "llama-server-router",
  "llama-swap",
  "olla",
  "portkey",
  "litellm",
];

/** Installed peers lie here, apart from the project's own dependencies. */
const cache = join(benchRoot, "../.cache/bench");
const LITELLM = "1.106.2";
const PORTKEY = "1.15.2";
// With a newer one, which its package allows, this Portkey answers every stream with 500.
const PORTKEY_SERVER = "1.13.8";
const own: Readonly<Partial<Record<PeerName, string>>> = {
  nginx: join(cache, "nginx/usr/sbin/nginx"),
  litellm: join(cache, "litellm/bin/litellm"),
  portkey: join(cache, "portkey/node_modules/@portkey-ai/gateway/build/start-server.js"),
  "llama-server-router": join(benchRoot, "../.cache/data/engines/llama-server/llama-server"),
};
const programs: Readonly<Record<PeerName, string>> = {
  nginx: "nginx",
  litellm: "litellm",
  portkey: "gateway",
  olla: "olla",
  "llama-swap": "llama-swap",
  "llama-server-router": "llama-server",
};

export interface Places {
  /** The PATH to look on. */
  readonly path: string;
  /** A llama-server to take before any other. */
  readonly llamaServer: string | null;
  /** Default: whether the file can be run. */
  readonly isProgram?: (file: string) => boolean;
}

/** The program of a peer, or why there is none. */
export function programOf(
  peer: PeerName,
  { path, llamaServer, isProgram = canRun }: Places,
): { readonly program: string } | { readonly missing: string } {
  const name = programs[peer];
  const named = peer === "llama-server-router" && llamaServer !== null ? [llamaServer] : [];
  // Where Debian puts what a user's PATH need not have. Portkey's program is a script of its package, called by
  // nobody's PATH.
  const folders =
    peer === "portkey" ? [] : [...path.split(delimiter).filter(Boolean), ...(peer === "nginx" ? ["/usr/sbin"] : [])];
  const candidates = [...named, ...folders.map((folder) => join(folder, name)), ...(own[peer] ? [own[peer]] : [])];
  const program = candidates.find((file) => (peer === "portkey" ? existsSync(file) : isProgram(file)));
  if (program !== undefined) return { program };
  if (peer === "llama-server-router")
    return { missing: "no program `llama-server` on the PATH, and none built by `npm test`; --llama-server names one" };
  return {
    missing: own[peer]
      ? "not installed; `npm run bench -- peers --install` does it"
      : `no program \`${name}\` on the PATH`,
  };
}

export function findPeers(wanted: readonly string[] | null, places: Places): Found[] {
  const found: Found[] = peerNames.map((peer) => {
    const result = programOf(peer, places);
    return "missing" in result ? { peer, ...result } : { peer, ...result, version: versionOf(peer, result.program) };
  });
  const ollama = places.path
    .split(delimiter)
    .some((folder) => folder && (places.isProgram ?? canRun)(join(folder, "ollama")));
  const why = "not measured here: it runs its own engine and cannot be put in front of the stub";
  found.push({ peer: "ollama", missing: ollama ? why : "no program `ollama` on the PATH" });
  return wanted === null ? found : found.filter(({ peer }) => wanted.includes(peer));
}

function canRun(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function versionOf(peer: PeerName, program: string): string {
  if (peer === "portkey") {
    const { version } = JSON.parse(readFileSync(join(program, "../../package.json"), "utf8")) as { version: string };
    return version;
  }
  const flag = {
    nginx: "-v",
    "llama-swap": "-version",
    olla: "--version",
    litellm: "--version",
    "llama-server-router": "--version",
  }[peer];
  // They differ in where they print it, and in what else they say.
  const env = { ...process.env, LITELLM_LOCAL_MODEL_COST_MAP: "True", NO_COLOR: "1" };
  let said = "";
  try {
    said = execFileSync("/bin/sh", ["-c", '"$0" "$1" 2>&1', program, flag], { encoding: "utf8", timeout: 60_000, env });
  } catch {
    // The digest names it all the same.
  }
  const digest = createHash("sha256").update(readFileSync(program)).digest("hex").slice(0, 12);
  return `${versionIn(said) ?? "unknown"}, sha256 ${digest}`;
}

/** The version in what a program prints of itself, among warnings and ornaments. */
export function versionIn(text: string): string | null {
  const lines = text.split("\n").map((line) => line.replaceAll(/[^ -~]/g, "").trim());
  const line = lines.find((one) => /version|nginx|\bv\d/i.test(one) && /\d/.test(one) && !/warning|error/i.test(one));
  return line?.replace(/^.*version[:= /]+/i, "") ?? null;
}

/** Installs what can be had from package repositories into the cache folder, saying each command. */
export function installPeers(path: string): void {
  const has = (peer: PeerName): boolean => "program" in programOf(peer, { path, llamaServer: null });
  const run = (folder: string, command: string, args: readonly string[]): void => {
    mkdirSync(folder, { recursive: true });
    console.log(`${folder}$ ${[command, ...args].join(" ")}`);
    execFileSync(command, args, { cwd: folder, stdio: "inherit" });
  };
  if (!has("nginx")) {
    const folder = join(cache, "nginx");
    // Unpacked, not installed: no service starts, and no rights are needed.
    run(folder, "apt-get", ["download", "nginx"]);
    const archive = readdirSync(folder).find((name) => name.endsWith(".deb"));
    if (archive) run(folder, "dpkg", ["-x", archive, "."]);
  }
  if (!has("portkey")) {
    const folder = join(cache, "portkey");
    mkdirSync(folder, { recursive: true });
    // Without a package.json of its own npm would take the project's.
    writeFileSync(
      join(folder, "package.json"),
      `${JSON.stringify({ private: true, overrides: { "@hono/node-server": PORTKEY_SERVER } })}\n`,
    );
    run(folder, "npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund", `@portkey-ai/gateway@${PORTKEY}`]);
  }
  if (!has("litellm")) {
    run(cache, "python3", ["-m", "venv", "litellm"]);
    run(cache, "litellm/bin/pip", ["install", "--quiet", `litellm[proxy]==${LITELLM}`]);
  }
  for (const peer of peerNames) console.log(`${peer}: ${JSON.stringify(programOf(peer, { path, llamaServer: null }))}`);
}
