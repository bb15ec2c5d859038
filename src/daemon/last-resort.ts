import type { DaemonLog } from "../telemetry/log.ts";

/** The disk may not respond. */
const FLUSH_MS = 1_000;

/**
 * Logs an error that nothing caught before the daemon exits: afterwards its state is unknown. Otherwise only
 * `startup.log` would contain it. Durable records are in the store; the next daemon terminates engines left behind.
 */
export function logFatalErrors({ log, flush }: Pick<DaemonLog, "log" | "flush">): void {
  process.once("uncaughtException", async (error, origin) => {
    // A second one exits immediately, since this listener is gone.
    console.error(error);
    log.fatal({ err: error, origin }, "uncaught error, the daemon exits; this is a bug in Assistant");
    await Promise.race([flush(), new Promise((resolve) => setTimeout(resolve, FLUSH_MS))]);
    process.exit(1);
  });
}
