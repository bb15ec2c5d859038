import { execa } from "execa";
import { AssistantError } from "../../core/errors.ts";

const MAX_LIST_BYTES = 10 * 2 ** 20;

/** The paths in a tar archive, in any compression that the system's tar supports. */
export async function tarFiles(archive: string, signal: AbortSignal): Promise<readonly string[]> {
  const options = { stdin: "ignore", cancelSignal: signal, maxBuffer: MAX_LIST_BYTES } as const;
  const { stdout } = await execa("tar", ["-tf", archive], options).catch(unreadable(signal));
  return stdout.split("\n");
}

/** Hands over one file of the archive in pieces; nothing is unpacked to disk. */
export async function tarMember(
  archive: string,
  member: string,
  signal: AbortSignal,
  take: (chunk: Buffer) => Promise<void>,
): Promise<void> {
  const options = { stdin: "ignore", cancelSignal: signal, encoding: "buffer", buffer: false } as const;
  const reading = execa("tar", ["-xOf", archive, "--", member], options);
  for await (const chunk of reading.iterable({ from: "stdout", binary: true })) await take(Buffer.from(chunk));
  await reading;
  signal.throwIfAborted();
}

const unreadable =
  (signal: AbortSignal) =>
  (error: { readonly code?: string; readonly stderr?: string }): never => {
    signal.throwIfAborted();
    const [why] = (error.stderr ?? "").split("\n").filter((line) => line !== "");
    throw new AssistantError(
      "pull_failed",
      error.code === "ENOENT" ? "tar is not installed" : `the archive cannot be read: ${why ?? "tar failed"}`,
      { cause: error },
    );
  };
