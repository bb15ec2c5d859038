import { isLoopback } from "../../config/network.ts";
import { AssistantError } from "../../core/errors.ts";

/** Settings from a worker's environment; each variable is the field's name in upper case. */
export interface WorkerSettings {
  /** URL of the daemon's registry, with a trailing slash. */
  readonly agentEndpoint: string;
  readonly llmName: string;
  /** Host at which the daemon reaches this worker. */
  readonly publicAddress: string;
  /** 0: the system chooses one. */
  readonly port: number;
  /** Path of the worker's endpoint. */
  readonly endpoint: string;
  /** Whether to continue if registration fails permanently. */
  readonly ignoreAgent: boolean;
  /** Retries of the registration. */
  readonly retryCount: number;
  /** Null: the file with the default name if it exists, otherwise the default layout or logging. */
  readonly layoutConfig: string | null;
  readonly loggingConfig: string | null;
  readonly debug: boolean;
  /** Concurrent requests that it can process. */
  readonly slots: number;
  /** Seconds between two heartbeats; 0: none. */
  readonly heartbeatS: number;
  /** Seconds that running requests may take to finish when the worker stops. */
  readonly drainTimeoutS: number;
  /** API key with the scope `worker`, if the daemon requires one. */
  readonly apiKey: string | null;
}

export type WorkerEnvironment = Readonly<Record<string, string | undefined>>;

const MAX_PORT = 65_535;

/** Throws `config_invalid` naming the variable. */
export function workerSettings(env: WorkerEnvironment): WorkerSettings {
  const text = (name: string): string | null => {
    const value = env[name]?.trim() ?? "";
    return value === "" || value === "None" ? null : value;
  };
  const integer = (name: string, fallback: number, most: number): number => {
    const written = text(name);
    if (written === null) return fallback;
    if (/^\d+$/.test(written) && Number(written) <= most) return Number(written);
    throw invalid(name, `an integer from 0 to ${most}`, written);
  };
  const endpoint = text("ENDPOINT") ?? "/v1/completion";
  if (!/^\/[^\s?#]*$/.test(endpoint)) throw invalid("ENDPOINT", "a path that begins with a slash", endpoint);
  return {
    agentEndpoint: agentEndpoint(text("AGENT_ENDPOINT") ?? "http://localhost:9000/v1.0/"),
    llmName: text("LLM_NAME") ?? "Unnamed_LLM",
    publicAddress: text("PUBLIC_ADDRESS") ?? "localhost",
    port: integer("PORT", 0, MAX_PORT),
    endpoint,
    ignoreAgent: flag("IGNORE_AGENT", text("IGNORE_AGENT")),
    retryCount: integer("RETRY_COUNT", 5, 20),
    layoutConfig: text("LAYOUT_CONFIG"),
    loggingConfig: text("LOGGING_CONFIG"),
    debug: flag("DEBUG", text("DEBUG")),
    slots: Math.max(1, integer("SLOTS", 1, 1024)),
    heartbeatS: integer("HEARTBEAT_S", 30, 86_400),
    drainTimeoutS: integer("DRAIN_TIMEOUT_S", 30, 86_400),
    apiKey: text("ASSISTANT_API_KEY"),
  };
}

/** The address to listen on: loopback if the public address is loopback, else all addresses. */
export const listenHost = ({ publicAddress }: WorkerSettings): string =>
  publicAddress === "localhost" ? "127.0.0.1" : isLoopback(publicAddress) ? publicAddress : "0.0.0.0";

/** The endpoint that the worker registers. */
export function publicEndpoint({ publicAddress, endpoint }: WorkerSettings, port: number): string {
  const host = publicAddress.includes(":") ? `[${publicAddress}]` : publicAddress;
  return `http://${host}:${port}${endpoint}`;
}

function flag(name: string, written: string | null): boolean {
  if (written === null || /^(?:false|0|no|off)$/i.test(written)) return false;
  if (/^(?:true|1|yes|on)$/i.test(written)) return true;
  throw invalid(name, "true or false", written);
}

function agentEndpoint(written: string): string {
  if (/^https?:\/\/\S+$/.test(written) && URL.canParse(written)) return written.endsWith("/") ? written : `${written}/`;
  throw invalid("AGENT_ENDPOINT", "a URL such as http://localhost:9000/v1.0/", written);
}

const invalid = (name: string, expected: string, found: string): AssistantError =>
  new AssistantError(
    "config_invalid",
    `The environment variable ${name} must be ${expected}; found ${JSON.stringify(found)}.`,
  );
