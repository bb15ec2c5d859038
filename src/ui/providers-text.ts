import type { ProviderStatus } from "../api/providers.ts";
import { formatDuration, plural } from "./format.ts";
import { milliseconds } from "./nodes-text.ts";
import { alignColumns } from "./table.ts";

const TITLES = ["NAME", "TYPE", "BASE URL", "STATE", "KEY", "WEIGHT", "IN FLIGHT", "SERVED", "FIRST BYTE", "MODELS"];

/** Providers as a table, with what is wrong with them below it. `now`: epoch milliseconds. Pure. */
export function providersText(providers: readonly ProviderStatus[], now: number): string[] {
  const rows = providers.map((provider) => [
    provider.name,
    provider.type,
    provider.baseUrl,
    provider.state,
    provider.key === "none" ? "-" : provider.key,
    String(provider.weight),
    `${provider.inFlight} of ${provider.maxConcurrency}`,
    String(provider.requestsServed),
    milliseconds(provider.firstByteMs),
    String(provider.models.length),
  ]);
  return [...alignColumns([TITLES, ...rows]), ...providers.flatMap((provider) => remarks(provider, now))];
}

/** What is wrong with a provider that is down, or was wrong with a request to one that is up. */
function remarks(provider: ProviderStatus, now: number): string[] {
  if (provider.state === "up" && provider.lastError !== null)
    return [`${provider.name} is up; its last failure: ${provider.lastError}`];
  return providerTrouble(provider, now);
}

/** One line for a provider that is down. */
export function providerTrouble({ name, state, lastError, retryAt }: ProviderStatus, now: number): string[] {
  if (state !== "down") return [];
  const next = retryAt === null ? "looking at it now" : `next look in ${formatDuration(Math.max(0, retryAt - now))}`;
  return [`${name}: ${lastError ?? "it does not answer."} (${next})`];
}

/** "2 providers, 1 up, 312 models". */
export function providersSummary(providers: readonly ProviderStatus[]): string {
  const used = providers.filter(({ state }) => state !== "disabled");
  const models = used.reduce((sum, provider) => sum + provider.models.length, 0);
  return `${plural(used.length, "provider")}, ${used.filter(({ state }) => state === "up").length} up, ${plural(models, "model")}`;
}

/** So many names fit on a line that people read. */
const MAX_NAMED = 8;

/** A line for each provider that offers models: "openai offers openai/gpt-4o, openai/gpt-4o-mini and 40 more". */
export const offersLines = (
  providers: readonly { readonly name: string; readonly models: readonly { readonly name: string }[] }[],
): string[] =>
  providers
    .filter(({ models }) => models.length > 0)
    .map(({ name, models }) => {
      const more = models.length - MAX_NAMED;
      const named = models.slice(0, MAX_NAMED).map((model) => model.name);
      return `${name} offers ${named.join(", ")}${more > 0 ? ` and ${more} more (\`assistant list --json\` names all)` : ""}`;
    });
