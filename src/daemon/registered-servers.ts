import { randomUUID } from "node:crypto";
import { defaults } from "../config/defaults.ts";
import { AssistantError } from "../core/errors.ts";
import type { ModelKind } from "../core/model.ts";
import type { Provider } from "../core/provider.ts";
import type { RegisteredServer, ServerKind, ServersPort } from "../gateway/ports.ts";
import type { Remotes } from "./remotes.ts";

const MODEL_KINDS: Readonly<Record<ServerKind, ModelKind>> = {
  chat: "chat",
  embeddings: "embedding",
  image: "image",
  transcribe: "transcription",
  translate: "transcription",
  tts: "speech",
};

/** The models of each are requested repeatedly. */
const MAX_SERVERS = 256;

/** Makes servers that are registered through the API into providers, which live as long as the daemon. */
export function registeredServers(
  remotes: Pick<Remotes, "register" | "unregister" | "registered" | "providers">,
): ServersPort {
  const kindsOf = new Map<string, readonly ServerKind[]>();
  const describe = ({ name, baseUrl }: Provider): RegisteredServer => {
    const status = remotes.providers().find((provider) => provider.name === name);
    return {
      id: name,
      url: baseUrl,
      kinds: kindsOf.get(name) ?? [],
      isUp: status?.state === "up",
      models: status?.models.map((model) => model.name) ?? [],
    };
  };
  return {
    async register({ url, kinds, apiKey }) {
      const provider = providerOf(`${kinds.join("-")}-server-${randomUUID()}`, url, kinds, apiKey);
      const same = remotes.registered.find(
        ({ name, baseUrl }) => baseUrl === provider.baseUrl && kindsOf.get(name)?.some((kind) => kinds.includes(kind)),
      );
      if (same !== undefined)
        throw new AssistantError("model_exists", `${url} is registered already, as ${same.name}.`, {
          param: "url",
          remedy: "Unregister it first.",
        });
      if (kindsOf.size >= MAX_SERVERS)
        throw new AssistantError("no_capacity", `${MAX_SERVERS} servers are registered, which is the maximum.`, {
          remedy: "Unregister one first.",
        });
      kindsOf.set(provider.name, kinds);
      try {
        await remotes.register(provider);
      } catch (error) {
        kindsOf.delete(provider.name);
        throw error;
      }
      return describe(provider);
    },
    unregister(id) {
      if (!remotes.unregister(id))
        throw new AssistantError(
          "instance_not_found",
          `No server is registered as ${JSON.stringify(id.slice(0, 100))}.`,
          {
            param: "server_id",
            remedy: "`GET /admin/servers` lists them.",
          },
        );
      kindsOf.delete(id);
    },
    list: () => remotes.registered.map(describe),
  };
}

const providerOf = (name: string, url: string, kinds: readonly ServerKind[], apiKey: string | null): Provider => ({
  name,
  type: "openai-compatible",
  baseUrl: withVersion(url),
  apiKey,
  keySource: apiKey === null ? null : "its registration",
  headers: {},
  proxy: null,
  connectTimeoutMs: defaults.providerConnectTimeoutS * 1000,
  silenceTimeoutMs: defaults.providerTimeoutS * 1000,
  weight: defaults.remoteWeight,
  maxConcurrency: defaults.providerConcurrency,
  discovery: true,
  models: null,
  // Their kinds are known from the registration, and their lists do not contain them.
  takesLlamaFields: true,
  limitField: null,
  isAssistant: false,
  enabled: true,
  kinds: [...new Set(kinds.map((kind) => MODEL_KINDS[kind]))],
});

/** A bare address is that of a server whose API is under `/v1`. */
function withVersion(url: string): string {
  const parsed = new URL(url);
  return parsed.pathname === "/" ? `${parsed.origin}/v1` : `${parsed.origin}${parsed.pathname.replace(/\/+$/, "")}`;
}
