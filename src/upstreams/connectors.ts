import type { ProviderType } from "../core/provider.ts";
import type { Connector } from "./connector.ts";

/** Connectors by provider type. Loaded when an entry needs it: a dialect's library costs memory. */
export const connectors: Readonly<Record<ProviderType, () => Promise<Connector>>> = {
  "openai-compatible": async () => (await import("./http/openai.ts")).connectOpenAi,
  anthropic: async () => (await import("./translate/connect.ts")).connectAnthropic,
  google: async () => (await import("./translate/connect.ts")).connectGoogle,
};
