/** The source of the weights. `resolve` in models/ turns it into a file on this machine. */
export type ModelSource =
  | { readonly type: "file"; readonly path: string }
  | { readonly type: "catalog"; readonly name: string }
  /** `file` ends in `@REVISION` where that is not `main`. */
  | { readonly type: "huggingface"; readonly repo: string; readonly file: string }
  /**
   * The name for a `command` engine's program, such as a repository or a path; "": nothing. Passed on without
   * interpretation.
   */
  | { readonly type: "opaque"; readonly reference: string }
  /** No weights: programs that registered themselves serve it. */
  | { readonly type: "worker" }
  /** No weights: one of these providers serves it. */
  | { readonly type: "provider"; readonly offers: readonly ProviderOffer[] }
  /** No weights: a pipeline of this daemon, of this file. */
  | { readonly type: "pipeline"; readonly file: string };

/** A model of a provider. */
export interface ProviderOffer {
  /** Of its `[[providers]]` entry. */
  readonly provider: string;
  /** The provider's own name for the model. */
  readonly model: string;
}
