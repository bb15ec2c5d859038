import { AssistantError, type ErrorCode, isAssistantError } from "../../../core/errors.ts";
import type { JsonObject } from "../../../core/inference.ts";
import type { PullOrder } from "../../../models/presets/named.ts";
import type { PullStatus } from "../../../models/pull-service.ts";
import { NOT_HERE } from "../../../registry/library.ts";
import type { PullPort } from "../../ports.ts";
import { elsewhere } from "./describe.ts";
import { findModel, storeName } from "./names.ts";
import type { OllamaOptions } from "./ports.ts";

/** References that name their source. */
const EXPLICIT = /^(?:https?:|hf:|ollama:|pypi:|npm:|(?:www\.)?(?:hf\.co|huggingface\.co)\/)/i;
/** Possible tags after the name of a preset; any other tag is one of Ollama's. */
const QUANTIZATION = /:(?:latest|I?Q\d\w*|B?F\d+)$/i;

/**
 * What to pull for an Ollama client's reference: a model known here by name, as for `assistant pull`; anything else
 * from Ollama's registry. It gets the name by which the client will request it.
 */
export async function pullOrderOf(written: string, orderOf: OllamaOptions["orderOf"]): Promise<PullOrder> {
  if (EXPLICIT.test(written)) return { reference: written, name: storedAs(written) };
  if (!written.includes("/") && (!written.includes(":") || QUANTIZATION.test(written))) {
    try {
      const order = await orderOf(written);
      return { ...order, name: order.name ?? storeName(written) };
    } catch (error) {
      if (!isAssistantError(error) || error.code !== "unknown_source") throw error;
    }
  }
  return { reference: `ollama:${written}`, name: storeName(written) };
}

/** Null: for other references their own name is fine. */
const storedAs = (written: string): string | null =>
  /^(?:ollama:|(?:hf\.co|huggingface\.co)\/)/i.test(written) ? storeName(written.replace(/^ollama:/i, "")) : null;

/**
 * Whether a name that only Ollama's registry could know is that of a configured model which has its weights from
 * elsewhere, or needs none. Clients pull every model before they use it.
 */
export async function isOnlyHere(
  written: string,
  { reference }: PullOrder,
  { directory, library }: OllamaOptions,
): Promise<boolean> {
  const model = reference === `ollama:${written}` ? findModel(directory, written) : undefined;
  if (model === undefined || library === null) return false;
  const { file, reference: pulled } = (await library.details([model])).get(model.name) ?? NOT_HERE;
  return (file !== null && pulled?.startsWith("ollama:") !== true) || elsewhere(model)["remote_host"] !== undefined;
}

/** The progress of a pull in Ollama's format, until it has ended. Rejects with the reason of a failure. */
export async function* pullProgress(pulls: PullPort, order: PullOrder): AsyncGenerator<JsonObject> {
  yield { status: "pulling manifest" };
  const { id } = pulls.start(order);
  let last: PullStatus | null = null;
  for await (const status of pulls.follow(id)) {
    last = status;
    const line = progressLine(status);
    if (line !== null) yield line;
  }
  if (last?.error != null) {
    const { code, message, remedy } = last.error;
    throw new AssistantError(code as ErrorCode, message, remedy === null ? {} : { remedy });
  }
  const problem = last?.configured?.problem ?? null;
  if (problem !== null)
    throw new AssistantError("config_invalid", `The model was pulled, but not configured: ${problem}.`);
}

/** Clients draw one bar per `digest`. The remaining files are not known here, so there is one for all of them. */
function progressLine({ phase, reference, bytes, totalBytes }: PullStatus): JsonObject | null {
  if (phase === "verify") return { status: "verifying sha256 digest" };
  if (phase === "download" || phase === "extract")
    return {
      status: `pulling ${reference}`,
      digest: reference,
      ...(totalBytes === null ? {} : { total: totalBytes }),
      completed: bytes,
    };
  return phase === "wait" ? { status: "waiting for another pull of the same model" } : null;
}
