import type { InferenceCore } from "../../../inference/core.ts";
import type { ModelDirectory } from "../../../inference/resolve.ts";
import type { PullOrder } from "../../../models/presets/named.ts";
import type { Library } from "../../../registry/library.ts";
import type { ControlPort, PullPort } from "../../ports.ts";

/** What the door needs from the daemon. */
export interface OllamaOptions {
  readonly inference: InferenceCore;
  readonly directory: ModelDirectory;
  readonly control: Pick<ControlPort, "status" | "modelAct" | "keep">;
  /** Downloads of the daemon; null: not available. */
  readonly pulls: PullPort | null;
  /** What to pull for a reference, which may be the name of a preset. Rejects with `unknown_source`. */
  readonly orderOf: (reference: string) => Promise<PullOrder>;
  /** This machine's models with their weights; null: no information about weights, and no changes. */
  readonly library: Library | null;
  /** The listener only serves these models; null: all. */
  readonly onlyModels: readonly string[] | null;
}
