import type { Provider } from "../core/provider.ts";
import type { Peer } from "../core/upstream.ts";

/** OpenTelemetry's names of the services that are reached with OpenAI's API, by the end of their host's name. */
const systems: readonly (readonly [host: string, system: string])[] = [
  ["openai.azure.com", "azure.ai.openai"],
  ["openai.com", "openai"],
  ["groq.com", "groq"],
  ["mistral.ai", "mistral_ai"],
  ["deepseek.com", "deepseek"],
  ["perplexity.ai", "perplexity"],
  ["x.ai", "x_ai"],
  ["cohere.com", "cohere"],
  ["amazonaws.com", "aws.bedrock"],
];
const HTTP_PORT = 80;
const HTTPS_PORT = 443;

/** What a provider is in traces; one that OpenTelemetry has no name for goes by its own. */
export function peerOf({ type, baseUrl, name, isAssistant }: Provider): Peer {
  const { hostname, port, protocol } = new URL(baseUrl);
  const standardPort = protocol === "https:" ? HTTPS_PORT : HTTP_PORT;
  return {
    system: isAssistant ? "assistant" : systemOf(type, hostname, name),
    address: hostname,
    port: port === "" ? standardPort : Number(port),
  };
}

function systemOf(type: Provider["type"], hostname: string, name: string): string {
  if (type === "anthropic") return "anthropic";
  if (type === "google") return "gcp.gemini";
  return systems.find(([host]) => hostname === host || hostname.endsWith(`.${host}`))?.[1] ?? name;
}
