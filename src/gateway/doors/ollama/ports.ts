import type { InferenceCore } from "../../../inference/core.ts";
import type { ModelDirectory } from "../../../inference/resolve.ts";
import type { PullOrder } from "../../../models/presets/named.ts";
import type { Library } from "../../../registry/library.ts";
import type { ControlPort, PullPort } from "../../ports.ts";

/** What the door needs of the daemon. */
export interface OllamaOptions {
  readonly inference: InferenceCore;
  readonly directory: ModelDirectory;
  readonly control: Pick<ControlPort, "status" | "modelAct" | "keep">;
  /** Downloads of the daemon; null: it has none. */
  readonly pulls: PullPort | null;
  /** What to pull for what somebody wrote, which may be the name of a preset. Rejects with `unknown_source`. */
  readonly orderOf: (reference: string) => Promise<PullOrder>;
  /** The models of this machine with their weights; null: nothing is known of weights, and nothing changed. */
  readonly library: Library | null;
  /** The listener serves these models alone; null: all. */
  readonly onlyModels: readonly string[] | null;
}
