import { fstatSync } from "node:fs";

/**
 * Ends this process with its parent, or when the parent requests it: a killed daemon cannot stop its engines, so they
 * detect it.
 */
export function endWithParent(log: (line: string) => void): void {
  const end = (how: string): void => {
    log(`ending: ${how}`);
    process.exit(0);
  };
  process.on("SIGTERM", () => process.exit(0));
  process.on("SIGINT", () => process.exit(0));
  // The process group gets the terminal's signals too; without a terminal the next write must not end the engine
  // silently.
  process.stderr.on("error", () => undefined);
  process.on("disconnect", () => end("the parent's channel was closed"));
  const input = fstatSync(0, { throwIfNoEntry: false });
  if (input?.isFIFO() || input?.isSocket()) {
    process.stdin.on("end", () => end("the parent closed the input"));
    process.stdin.on("error", () => end("the parent's input failed"));
    process.stdin.resume();
  }
  const parent = process.ppid;
  setInterval(() => process.ppid !== parent && end("the parent process has exited"), 1000).unref();
}
