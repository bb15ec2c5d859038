import type { Provider } from "../../src/core/provider.ts";

/** A `[[providers]]` entry as the configuration makes it. */
export const testProvider = (baseUrl: string, changes: Partial<Provider> = {}): Provider => ({
  name: "cloud",
  type: "openai-compatible",
  baseUrl,
  apiKey: "sk-secret",
  keySource: "the environment variable CLOUD_KEY",
  headers: {},
  proxy: null,
  connectTimeoutMs: 5_000,
  silenceTimeoutMs: 20_000,
  weight: 1,
  maxConcurrency: 4,
  discovery: true,
  models: null,
  takesLlamaFields: false,
  limitField: null,
  isAssistant: false,
  enabled: true,
  ...changes,
});
