import { AssistantError } from "../core/errors.ts";
import type { ProviderType } from "../core/provider.ts";
import type { Connector } from "./connector.ts";

const missing = (type: ProviderType) => async (): Promise<Connector> => {
  throw new AssistantError("provider_error", `Providers of the type "${type}" are not served by this version.`);
};

/** How providers of each type are reached. Loaded when an entry needs it: a dialect's library costs memory. */
export const connectors: Readonly<Record<ProviderType, () => Promise<Connector>>> = {
  "openai-compatible": async () => (await import("./http/openai.ts")).connectOpenAi,
  anthropic: missing("anthropic"),
  google: missing("google"),
};
