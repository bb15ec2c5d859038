/** What a reload did; a field that is left out did not change. */
export interface ReloadReport {
  readonly added?: readonly string[];
  readonly removed?: readonly string[];
  readonly changed?: readonly string[];
  readonly unchanged?: readonly string[];
  /** Settings that only a restart of the daemon brings into force. */
  readonly restartNeeded?: boolean;
  /** Their names. */
  readonly restartSettings?: readonly string[];
  readonly notices?: readonly {
    readonly severity: string;
    readonly file: string;
    readonly line: number | null;
    readonly key: string | null;
    readonly message: string;
  }[];
}
