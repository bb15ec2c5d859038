import { AssistantError, isAssistantError } from "../../core/errors.ts";

/** Primary result codes of SQLite. */
const CODES = { busy: 5, locked: 6, readOnly: 8, io: 10, corrupt: 11, full: 13, cannotOpen: 14, notADatabase: 26 };

const primaryCode = (error: unknown): number | null => {
  const { errcode } = (error ?? {}) as { readonly errcode?: unknown };
  return typeof errcode === "number" ? errcode & 0xff : null;
};

/** Whether the file itself is damaged, or is no database. */
export function isDamage(error: unknown): boolean {
  const code = primaryCode(error);
  return code === CODES.corrupt || code === CODES.notADatabase;
}

/** Whether another program has locked the file, for longer than a write waits. */
export function isLocked(error: unknown): boolean {
  const code = primaryCode(error);
  return code === CODES.busy || code === CODES.locked;
}

/** SQLite's errors in our words; others pass as they are. */
export function storeFailure(file: string, error: unknown): unknown {
  const code = primaryCode(error);
  if (isAssistantError(error) || code === null) return error;
  const details = { cause: error };
  const { message } = error as Error;
  switch (code) {
    case CODES.full:
      return new AssistantError("disk_full", `The store ${file} cannot be written: the disk is full.`, {
        remedy: "Free some disk space, then try again.",
        ...details,
      });
    case CODES.readOnly:
    case CODES.cannotOpen:
      return new AssistantError("not_writable", `The store ${file} cannot be opened for writing: ${message}.`, {
        remedy: "Make the file and its directory writable for the user that runs the daemon.",
        ...details,
      });
    case CODES.busy:
    case CODES.locked:
      return new AssistantError("store_unavailable", `Another process keeps the store ${file} locked.`, {
        remedy: "Try again; if the problem persists, stop the program that has the file open.",
        ...details,
      });
    case CODES.corrupt:
    case CODES.notADatabase:
      return new AssistantError("store_unavailable", `The store ${file} is damaged: ${message}.`, {
        remedy:
          "Stop the daemon and restore a backup with `assistant store restore`; without one, restart the daemon, " +
          "which sets the file aside and starts with an empty store.",
        ...details,
      });
    case CODES.io:
      return new AssistantError("store_unavailable", `The store ${file} cannot be read or written: ${message}.`, {
        remedy: "Check the disk.",
        ...details,
      });
    default:
      return error;
  }
}
