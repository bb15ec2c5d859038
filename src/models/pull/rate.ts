// Over the last seconds: a mean since the start would hide a slow line that was fast at first.
const WINDOW_MS = 3_000;
const MIN_SPAN_MS = 500;

/** Bytes per second of a transfer as it is now. `now` is monotonic milliseconds. */
export class Rate {
  readonly #now: () => number;
  #samples: { readonly at: number; readonly bytes: number }[] = [];
  #subject = "";

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /**
   * Takes the amount received so far and returns the rate, or null while too little is known. Another `subject` starts
   * over.
   */
  add(subject: string, bytes: number): number | null {
    const at = this.#now();
    if (subject !== this.#subject) this.#samples = [];
    this.#subject = subject;
    this.#samples = [...this.#samples.filter((sample) => at - sample.at <= WINDOW_MS), { at, bytes }];
    const [oldest = { at, bytes }] = this.#samples;
    const span = at - oldest.at;
    return span < MIN_SPAN_MS ? null : Math.max(0, ((bytes - oldest.bytes) / span) * 1000);
  }
}

/** Seconds until the rest has arrived, or null where that cannot be known. */
export const secondsLeft = (bytes: number, totalBytes: number | null, perSecond: number | null): number | null =>
  totalBytes === null || perSecond === null || perSecond <= 0
    ? null
    : Math.ceil(Math.max(0, totalBytes - bytes) / perSecond);
