import type { Provider } from "../core/provider.ts";
import type { ListedModel } from "../upstreams/connector.ts";
import { connectors } from "../upstreams/connectors.ts";
import { ProviderClient } from "../upstreams/http/client.ts";

/**
 * Asks a provider for its models, once; null where it has no list. Rejects with the codes of
 * `upstreams/http/failure.ts`.
 */
export async function lookAt(provider: Provider, timeoutMs: number): Promise<readonly ListedModel[] | null> {
  const connectTimeoutMs = Math.min(provider.connectTimeoutMs, timeoutMs);
  const impatient = { ...provider, connectTimeoutMs, silenceTimeoutMs: timeoutMs - connectTimeoutMs / 2 };
  const client = new ProviderClient(impatient);
  try {
    const connect = await connectors[provider.type]();
    return await connect({ provider: impatient, client, nodeId: "", modelName: ({ name }) => name }).listModels();
  } finally {
    client.close();
  }
}
