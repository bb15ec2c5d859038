import { printableLine } from "../../../src/ui/printable.ts";

/** A terminal, or its substitute in a test. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const FRAMES = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const ERASE_LINE = "\r\u001b[2K";
// Short waits need no spinner; a log file gets a line only when a wait becomes long.
const QUIET_MS = 300;
const PLAIN_FIRST_MS = 1_000;
const PLAIN_EVERY_MS = 10_000;

/** A visible wait. Dispose it on every path, which erases its line. */
export interface Progress extends Disposable {
  /** Changes what is waited for, such as "loading smollm2, 40 %". */
  update(text: string): void;
  /** Erases the line; further updates show nothing. */
  stop(): void;
}

/**
 * Shows `text` with the elapsed seconds while it is not disposed: a spinner on a terminal, otherwise one line after
 * a second and one every ten.
 */
export function showProgress(
  stream: ProgressStream,
  initial: string,
  now: () => number = () => performance.now(),
): Progress {
  const startedAt = now();
  let text = printableLine(initial);
  let frame = 0;
  let drawn = false;
  let nextPlainAt = PLAIN_FIRST_MS;
  const draw = (): void => {
    const elapsedMs = now() - startedAt;
    if (stream.isTTY === true) {
      if (elapsedMs < QUIET_MS) return;
      const line = `${FRAMES[frame++ % FRAMES.length]} ${text} (${Math.floor(elapsedMs / 1000)} s)`;
      stream.write(`${ERASE_LINE}${line.slice(0, (stream.columns ?? 80) - 1)}`);
      drawn = true;
    } else if (elapsedMs >= nextPlainAt) {
      stream.write(`${text} (${Math.floor(elapsedMs / 1000)} s)\n`);
      nextPlainAt = elapsedMs + PLAIN_EVERY_MS;
    }
  };
  const timer = setInterval(draw, 100);
  timer.unref();
  const stop = (): void => {
    clearInterval(timer);
    if (drawn) stream.write(ERASE_LINE);
    drawn = false;
  };
  return {
    update: (next) => {
      text = printableLine(next);
    },
    stop,
    [Symbol.dispose]: stop,
  };
}
