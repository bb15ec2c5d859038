import type { InferenceCore } from "../../../inference/core.ts";
import type { ModelDirectory } from "../../../inference/resolve.ts";
import type { ControlPort } from "../../ports.ts";

/** What the door needs of the daemon. */
export interface OllamaOptions {
  readonly inference: InferenceCore;
  readonly directory: ModelDirectory;
  readonly control: Pick<ControlPort, "status" | "modelAct">;
  /** The listener serves these models alone; null: all. */
  readonly onlyModels: readonly string[] | null;
}
