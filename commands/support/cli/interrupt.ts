/** 128 + SIGINT, as shells have it. */
export const EXIT_INTERRUPTED = 130;

/** Turns Ctrl-C and SIGTERM into an abort signal, so that work can be left in order. */
export interface Interruptible extends Disposable {
  readonly signal: AbortSignal;
}

/** Until it is disposed, the first Ctrl-C or SIGTERM aborts `signal`, and a second one ends the process at once. */
export function interruptible(): Interruptible {
  const stop = new AbortController();
  // Not `once`: libraries that clean up at signals end the process when they find no listener but their own.
  const interrupt = (): void =>
    stop.signal.aborted ? process.exit(EXIT_INTERRUPTED) : stop.abort(new Error("interrupted"));
  process.on("SIGINT", interrupt).on("SIGTERM", interrupt);
  return {
    signal: stop.signal,
    [Symbol.dispose]: () => void process.off("SIGINT", interrupt).off("SIGTERM", interrupt),
  };
}
