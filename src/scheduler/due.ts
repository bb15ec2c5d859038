/** A time at which something is to be checked again. `arm` and `disarm` of state.ts set it. */
export class Due<What> {
  readonly what: What;
  /** Epoch milliseconds. */
  at = 0;
  heapIndex = -1;

  constructor(what: What) {
    this.what = what;
  }

  get armed(): boolean {
    return this.heapIndex >= 0;
  }
}
