/**
 * One peer as an arm: starts the program, says when it answers, tells what its processes use, and ends them all when
 * the bench goes, however it goes.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  copyFileSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { request } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { stripVTControlCharacters } from "node:util";
import { type Usage, usageOf } from "../lib/usage.ts";
import { launchOf, type PeerName, requestOf } from "./launch.ts";
import { isStub, processes, treeOf } from "./tree.ts";

export interface PeerSettings {
  readonly peer: PeerName;
  readonly program: string;
  readonly stub: { readonly port: number; readonly socketPath: string };
}

const TERM_MS = 8000;
const READY_MS = 110_000;
const KEPT_OUTPUT = 800;

const { peer, program, stub } = JSON.parse(process.argv[2] ?? "{}") as PeerSettings;
const directory = mkdtempSync(join(tmpdir(), `bench-${peer}-`));
const output = join(directory, "output.log");
const port = await freePort();
const routerChild = fileURLToPath(new URL("router-child.ts", import.meta.url));
const launch = launchOf(peer, {
  directory,
  port,
  program,
  asRoot: process.getuid?.() === 0,
  stub,
  node: process.execPath,
  routerChild,
});
for (const [file, text] of Object.entries(launch.files)) writeFileSync(file, text);
if (launch.swapped) {
  copyFileSync(program, launch.swapped.copy);
  chmodSync(launch.swapped.copy, 0o755);
  chmodSync(launch.swapped.engine, 0o755);
}
if (!process.connected) process.exit(0);
const log = openSync(output, "a");
const env = { PATH: process.env["PATH"] ?? "", HOME: directory, TMPDIR: directory, ...launch.env };
// A group of its own: a key that interrupts the bench must not end it before it is asked to.
const child = spawn(launch.swapped?.copy ?? launch.command ?? program, launch.args, {
  cwd: directory,
  env,
  detached: true,
  stdio: ["ignore", log, log],
});
const gone = once(child, "exit").catch(() => {});
let ending: Promise<never> | undefined;
const end = (code: number): void => {
  ending ??= endAll(code);
};
child
  .on("error", (error) => console.error(error.message))
  .on("exit", (code, signal) => {
    if (ending) return;
    console.error(`${peer} ended with ${signal ?? `code ${code}`}:\n${lastOutput()}`);
    end(1);
  });
process.on("disconnect", () => end(0));
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => end(1));

if (launch.swapped) {
  await answers("GET", launch.swapped.path, {});
  renameSync(launch.swapped.engine, launch.swapped.copy);
}
const { path, headers } = requestOf(peer, stub.port);
await answers("POST", path, headers);
process.on("message", (message) => {
  if (message !== "usage" || child.pid === undefined) return;
  const tree = treeOf(child.pid, processes(), isStub).map(({ pid }) => usageOf(pid));
  const sum = (field: keyof Usage): number => tree.reduce((total, one) => total + one[field], 0);
  process.send?.({ cpuMs: sum("cpuMs"), rssBytes: sum("rssBytes") });
});
process.send?.({ port });

/** Comes back once the peer has answered with 200. */
async function answers(method: string, path: string, headers: Readonly<Record<string, string>>): Promise<void> {
  const deadline = performance.now() + READY_MS;
  let last = "no answer";
  while (performance.now() < deadline && !ending) {
    last = await status(method, path, headers).catch((error: Error) => error.message);
    if (last === "200") return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  if (!ending) console.error(`${peer} does not answer ${method} ${path} with 200: ${last}\n${lastOutput()}`);
  end(1);
  await new Promise(() => {});
}

function status(method: string, path: string, headers: Readonly<Record<string, string>>): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const body =
    method === "POST" ? JSON.stringify({ model: "stub", messages: [{ role: "user", content: "hello" }] }) : "";
  const all = {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
    connection: "close",
    ...headers,
  };
  const call = request({ host: "127.0.0.1", port, path, method, headers: all, timeout: 30_000 }, (response) => {
    let text = "";
    response.setEncoding("utf8").on("data", (part: string) => {
      text += part;
    });
    response.on("end", () =>
      resolve(response.statusCode === 200 ? "200" : `${response.statusCode} ${text.slice(0, 500)}`),
    );
    response.on("error", reject);
  });
  call.on("timeout", () => call.destroy(new Error("no answer within 30 s"))).on("error", reject);
  call.end(body);
  return promise;
}

/** Asks the program to go, then kills what is left of it and of what it started. */
async function endAll(code: number): Promise<never> {
  const tree = child.pid === undefined ? [] : treeOf(child.pid, processes());
  child.kill("SIGTERM");
  await Promise.race([gone, new Promise((resolve) => setTimeout(resolve, TERM_MS))]);
  const left = processes().filter(({ pid, startedAt }) =>
    tree.some((one) => one.pid === pid && one.startedAt === startedAt),
  );
  for (const { pid } of left) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has gone meanwhile.
    }
  }
  rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
  process.exit(code);
}

/** Without colours, rulers and padding. */
function lastOutput(): string {
  const text = stripVTControlCharacters(readFileSync(output, "utf8"))
    .replaceAll(/[^\n -~]/g, "")
    .replaceAll(/ {2,}|#{2,}/g, " ");
  return text.slice(-KEPT_OUTPUT);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
