import type { HandshakeMessage } from "../api/handshake.ts";
import type { Environment } from "../config/environment.ts";
import { toAssistantError } from "../core/errors.ts";
import { Daemon } from "./daemon.ts";
import { keepRequestsYoung } from "./heap.ts";

export interface RunOptions {
  readonly env: Environment;
  /** Stay in this terminal and log to it as well. */
  readonly foreground: boolean;
}

/**
 * Runs a daemon in this process until it has stopped. Reports the outcome of the start to the parent, if it listens.
 * Rejects with the reason if the start fails.
 */
export async function runDaemon(options: RunOptions): Promise<void> {
  keepRequestsYoung();
  let daemon: Daemon;
  try {
    daemon = await Daemon.start({ env: options.env, foreground: options.foreground });
  } catch (error) {
    const { code, message, remedy } = toAssistantError(error);
    tellParent({ type: "failed", error: { code, message, remedy } });
    throw error;
  }
  // The first signal lets requests finish, the second does not.
  const stop = (): void => daemon.stop({ now: false });
  const reload = (): void => void daemon.reload().catch(() => {});
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  process.on("SIGHUP", reload);
  tellParent({ type: "ready", url: daemon.url, pid: process.pid });
  await daemon.stopped;
  process.off("SIGTERM", stop);
  process.off("SIGINT", stop);
  process.off("SIGHUP", reload);
}

function tellParent(message: HandshakeMessage): void {
  // The parent may have been interrupted meanwhile; the daemon continues without it.
  if (process.connected) process.send?.(message, undefined, undefined, () => {});
}
