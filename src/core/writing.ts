import { AssistantError, isAssistantError } from "./errors.ts";

const FULL = new Set(["ENOSPC", "EDQUOT", "EFBIG"]);
const REASONS: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EPERM: "permission denied",
  EROFS: "the file system is read-only",
  ENOTDIR: "a part of the path is a file and not a directory",
  EEXIST: "a file of that name is in the way",
  ENOENT: "its parent directory cannot be created",
  ELOOP: "its links go round in a circle",
  ENOSPC: "the disk is full",
  EDQUOT: "the quota of disk space is used up",
  EFBIG: "the file would be larger than this process may write",
};

/**
 * Runs `action`, which makes or writes `path`, and gives each failure of the file system its sentence: `what` is
 * the thing in words. Throws `not_writable` or `disk_full`; other errors pass as they are.
 */
export async function writing<Result>(
  what: string,
  path: string,
  action: () => Promise<Result> | Result,
): Promise<Result> {
  try {
    return await action();
  } catch (error) {
    throw writeFailure(what, path, error);
  }
}

/** What `writing` throws for `error`: the error itself where the file system is not to blame. */
export function writeFailure(what: string, path: string, error: unknown): unknown {
  const code = isAssistantError(error) ? undefined : (error as NodeJS.ErrnoException | null)?.code;
  const reason = code === undefined ? undefined : REASONS[code];
  if (code === undefined || reason === undefined) return error;
  const full = FULL.has(code);
  return new AssistantError(
    full ? "disk_full" : "not_writable",
    `The ${what} ${path} cannot be written: ${reason} (${code}).`,
    {
      remedy: full
        ? "Free some disk space, then start the daemon again."
        : "Make it writable for the user that runs the daemon, or choose other directories with ASSISTANT_DATA_DIR.",
      cause: error,
    },
  );
}
