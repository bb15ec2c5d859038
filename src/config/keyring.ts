import { execFile } from "node:child_process";
import type { Environment } from "./environment.ts";

/**
 * Long enough to type the password of a keyring that asks to be unlocked, short enough for a start without anybody
 * there.
 */
const TIMEOUT_MS = 10_000;
/** A key is one line. */
const MAX_OUTPUT_BYTES = 8 * 1024;

/** An entry of the system's keyring, written `SERVICE/ACCOUNT`. */
export interface KeyringEntry {
  readonly service: string;
  readonly account: string;
}

export type KeyringAnswer = { readonly secret: string } | { readonly problem: string };

/** The account is behind the last slash, as services are often named by an address. */
export function keyringEntry(written: string): KeyringEntry {
  const slash = written.lastIndexOf("/");
  return { service: written.slice(0, slash), account: written.slice(slash + 1) };
}

interface KeyringTool {
  readonly command: string;
  readonly lookUp: (entry: KeyringEntry) => readonly string[];
  readonly store: (entry: KeyringEntry) => string;
  readonly install: string;
  /** Exit code for "no such entry"; other failures have a reason on stderr. */
  readonly isMissing: (code: number | null, stderr: string) => boolean;
}

const quoted = (text: string): string => (/^[\w.@:/-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** Python's and Go's keyring libraries name the attributes of an entry in the same way. */
const secretTool: KeyringTool = {
  command: "secret-tool",
  lookUp: ({ service, account }) => ["lookup", "service", service, "username", account],
  store: ({ service, account }) =>
    `secret-tool store --label ${quoted(service)} service ${quoted(service)} username ${quoted(account)}`,
  install: "install libsecret's tools (`apt-get install libsecret-tools`)",
  isMissing: (code, stderr) => code === 1 && stderr === "",
};

const security: KeyringTool = {
  command: "security",
  lookUp: ({ service, account }) => ["find-generic-password", "-s", service, "-a", account, "-w"],
  store: ({ service, account }) => `security add-generic-password -s ${quoted(service)} -a ${quoted(account)} -w`,
  install: "put /usr/bin on the daemon's PATH",
  isMissing: (code) => code === 44,
};

/**
 * Reads one entry with the system's own program: `secret-tool` on Linux, `security` on macOS. Never rejects; a problem
 * says what is wrong and what to do, and holds nothing of the secret.
 */
export function readKeyring(
  entry: KeyringEntry,
  env: Environment,
  { platform = process.platform, timeoutMs = TIMEOUT_MS } = {},
): Promise<KeyringAnswer> {
  const tool = platform === "darwin" ? security : secretTool;
  return new Promise((resolve) => {
    execFile(
      tool.command,
      [...tool.lookUp(entry)],
      { env: { ...env, LC_ALL: "C" }, timeout: timeoutMs, killSignal: "SIGKILL", maxBuffer: MAX_OUTPUT_BYTES },
      (error, stdout, stderr) => {
        const secret = stdout.replace(/\r?\n$/, "");
        if (error === null && secret !== "") resolve({ secret });
        else resolve({ problem: problemOf(tool, entry, error, stderr.trim(), timeoutMs) });
      },
    ).stdin?.end();
  });
}

function problemOf(
  tool: KeyringTool,
  entry: KeyringEntry,
  error: (Error & { code?: string | number | null; killed?: boolean }) | null,
  stderr: string,
  timeoutMs: number,
): string {
  const { code = null, killed = false } = error ?? {};
  if (code === "ENOENT") return `cannot be read without the program ${tool.command}; ${tool.install}`;
  if (code === "ERR_CHILD_PROCESS_STDIO_MAXBUFFER") return "is too large to be a key";
  if (killed)
    return `could not be read within ${timeoutMs / 1000} s; unlock the keyring, or write the key to a file (\`api_key_file\`)`;
  const exit = typeof code === "number" ? code : null;
  if (error === null || tool.isMissing(exit, stderr)) return `has no key; store one with \`${tool.store(entry)}\``;
  const reason = stderr.split("\n")[0]?.slice(0, 200) || `${tool.command} ended with ${code ?? "a signal"}`;
  return `could not be read (${reason}); start the daemon in a session that has the keyring unlocked, or write the key to a file (\`api_key_file\`)`;
}
