import { toAssistantError } from "../../../src/core/errors.ts";
import type { Provider } from "../../../src/core/provider.ts";
import { lookAt } from "../../../src/providers/look.ts";
import { type Finding, findingsOf } from "./finding.ts";

const finding = findingsOf("providers");
/** Timeout for each; all are checked at once. */
const LOOK_TIMEOUT_MS = 5_000;

/**
 * Whether each provider can be reached and takes our key, as this command finds it: its environment may differ from the
 * daemon's.
 */
export const providerFindings = (providers: readonly Provider[]): Promise<Finding[]> =>
  Promise.all(providers.map(findingOf));

async function findingOf(provider: Provider): Promise<Finding> {
  const { name, baseUrl, enabled, keySource, apiKey } = provider;
  if (!enabled) return finding(name, "info", `${baseUrl}, not enabled`);
  try {
    const models = await lookAt(provider, LOOK_TIMEOUT_MS);
    if (models === null) return finding(name, "ok", `${baseUrl} can be reached; it lists no models`);
    return finding(name, "ok", `${baseUrl}, ${models.length} ${models.length === 1 ? "model" : "models"}`);
  } catch (error) {
    const { message, remedy } = toAssistantError(error);
    // A cloud's outage is not this machine's fault, a missing key is.
    const level = keySource !== null && apiKey === null ? "broken" : "warning";
    return finding(name, level, message, remedy);
  }
}
