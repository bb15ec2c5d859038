import type { Sampling, TelemetrySettings } from "../core/config.ts";
import { defaults } from "./defaults.ts";
import { at } from "./draft.ts";
import { type Environment, variable } from "./environment.ts";
import { type Findings, noFile, type Place } from "./findings.ts";
import type { MainFile } from "./schema/main.ts";

const TRACES_PATH = "/v1/traces";
const LANGFUSE_CLOUD = "https://cloud.langfuse.com";
const SAMPLERS: readonly string[] = ["always_on", "always_off", "traceidratio"] satisfies Sampling["root"][];

/**
 * Where traces are sent, from `[telemetry]` and from the variables defined by OpenTelemetry and Langfuse, which take
 * precedence.
 */
export function telemetryOf(
  { telemetry }: MainFile,
  findings: Findings,
  root: Place,
  env: Environment,
): TelemetrySettings {
  const isDisabled = variable(env, "OTEL_SDK_DISABLED")?.toLowerCase() === "true";
  return {
    otlp: isDisabled
      ? null
      : otlpOf(telemetry?.otlp_endpoint ?? null, at(root, "telemetry", "otlp_endpoint"), findings, env),
    langfuse: isDisabled ? null : langfuseOf(findings, env),
    serviceName: variable(env, "OTEL_SERVICE_NAME") ?? telemetry?.service_name ?? defaults.serviceName,
    resource: pairsOf(findings, env, "OTEL_RESOURCE_ATTRIBUTES"),
    sampling: samplingOf(telemetry?.sample_ratio ?? defaults.sampleRatio, findings, env),
    recordsContent: telemetry?.record_content ?? false,
    batchDelayMs: numberOf(findings, env, "OTEL_BSP_SCHEDULE_DELAY") ?? defaults.traceBatchDelayMs,
    timeoutMs: numberOf(findings, env, "OTEL_EXPORTER_OTLP_TIMEOUT") ?? defaults.traceTimeoutMs,
  };
}

function otlpOf(written: string | null, place: Place, findings: Findings, env: Environment): TelemetrySettings["otlp"] {
  const exporter = variable(env, "OTEL_TRACES_EXPORTER");
  if (exporter === "none") return null;
  if (exporter !== null && exporter !== "otlp")
    findings.warning(
      variablePlace("OTEL_TRACES_EXPORTER"),
      `expected "otlp" or "none", found ${JSON.stringify(exporter)}; otlp is used`,
    );
  // The one for traces is the whole URL, the one for all signals its base.
  const own = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
  const base = "OTEL_EXPORTER_OTLP_ENDPOINT";
  const [name, value] = variable(env, own) !== null ? [own, variable(env, own)] : [base, variable(env, base)];
  const endpoint = value ?? written;
  if (endpoint === null) return null;
  const url = URL.parse(endpoint);
  if (url === null || !["http:", "https:"].includes(url.protocol)) {
    // A variable may be meant for other programs, and the daemon also works without traces.
    const message = `expected an http or https URL, such as "http://127.0.0.1:4318", found ${JSON.stringify(endpoint.slice(0, 100))}; no traces are sent there`;
    findings.warning(value === null ? place : variablePlace(name), message);
    return null;
  }
  const protocol = variable(env, "OTEL_EXPORTER_OTLP_PROTOCOL");
  if (protocol !== null && !protocol.startsWith("http/"))
    findings.warning(
      variablePlace("OTEL_EXPORTER_OTLP_PROTOCOL"),
      `expected "http/json", found ${JSON.stringify(protocol)}: traces are sent over HTTP regardless. Collectors accept them on port 4318`,
    );
  return {
    url: name === own ? url.href : new URL(`${url.pathname.replace(/\/$/, "")}${TRACES_PATH}`, url).href,
    headers: {
      ...pairsOf(findings, env, "OTEL_EXPORTER_OTLP_HEADERS"),
      ...pairsOf(findings, env, "OTEL_EXPORTER_OTLP_TRACES_HEADERS"),
    },
  };
}

function langfuseOf(findings: Findings, env: Environment): TelemetrySettings["langfuse"] {
  if (["false", "0"].includes(variable(env, "LANGFUSE_ENABLED")?.toLowerCase() ?? "")) return null;
  const publicKey = variable(env, "LANGFUSE_PUBLIC_KEY");
  const secretKey = variable(env, "LANGFUSE_SECRET_KEY");
  if (publicKey === null && secretKey === null) return null;
  if (publicKey === null || secretKey === null) {
    const missing = publicKey === null ? "LANGFUSE_PUBLIC_KEY" : "LANGFUSE_SECRET_KEY";
    findings.warning(variablePlace(missing), "is not set, while Langfuse's other key is; nothing is sent to Langfuse");
    return null;
  }
  const name = ["LANGFUSE_BASE_URL", "LANGFUSE_BASEURL", "LANGFUSE_HOST"].find((each) => variable(env, each) !== null);
  const written = name === undefined ? LANGFUSE_CLOUD : (variable(env, name) ?? LANGFUSE_CLOUD);
  const url = URL.parse(written);
  if (url === null || !["http:", "https:"].includes(url.protocol)) {
    findings.warning(
      variablePlace(name ?? ""),
      `expected an http or https URL, found ${JSON.stringify(written.slice(0, 100))}; nothing is sent to Langfuse`,
    );
    return null;
  }
  return { baseUrl: url.href.replace(/\/$/, ""), publicKey, secretKey };
}

/** As OpenTelemetry defines the samplers. */
function samplingOf(ratio: number, findings: Findings, env: Environment): Sampling {
  const name = variable(env, "OTEL_TRACES_SAMPLER");
  if (name === null) return { root: "traceidratio", ratio, followsParent: true };
  const followsParent = name.startsWith("parentbased_");
  const root = name.replace(/^parentbased_/, "");
  if (!SAMPLERS.includes(root)) {
    findings.warning(
      variablePlace("OTEL_TRACES_SAMPLER"),
      `expected one of ${SAMPLERS.join(", ")}, with or without "parentbased_" before it; found ${JSON.stringify(name)}, so \`[telemetry] sample_ratio\` applies`,
    );
    return { root: "traceidratio", ratio, followsParent: true };
  }
  return {
    root: root as Sampling["root"],
    ratio: Math.min(1, numberOf(findings, env, "OTEL_TRACES_SAMPLER_ARG") ?? 1),
    followsParent,
  };
}

function numberOf(findings: Findings, env: Environment, name: string): number | null {
  const written = variable(env, name);
  if (written === null) return null;
  const value = Number(written);
  if (Number.isFinite(value) && value >= 0) return value;
  findings.warning(variablePlace(name), `expected a number, found ${JSON.stringify(written.slice(0, 40))}`);
  return null;
}

/** `name=value,name=value`, percent-encoded. Values may be secrets, and are in no message. */
function pairsOf(findings: Findings, env: Environment, name: string): Record<string, string> {
  const pairs: Record<string, string> = {};
  for (const part of (variable(env, name) ?? "").split(",")) {
    if (part.trim() === "") continue;
    const [, key, value] = /^\s*([^=\s]+)\s*=\s*(.*?)\s*$/.exec(part) ?? [];
    const decoded = value === undefined ? null : decodedText(value);
    if (key === undefined || decoded === null)
      findings.warning(variablePlace(name), "expected name=value, separated by commas; other parts are ignored");
    else pairs[key] = decoded;
  }
  return pairs;
}

function decodedText(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

const variablePlace = (name: string): Place => ({ source: noFile(name), path: [] });
