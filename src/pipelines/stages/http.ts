import type { StageSettings } from "../../config/schema/stages.ts";
import { filled, valueAt } from "../path.ts";
import { type ReadVariable, secretOf } from "../secrets.ts";
import {
  answerFrom,
  failed,
  jsonFrom,
  requireAnswer,
  requireHeaders,
  type ServiceRequest,
  timeoutMsOf,
  valuesFrom,
} from "../service.ts";
import type { Stage, StageContext } from "../stage.ts";

const EMITS = { json: "json", text: "text", bytes: "audio", sse: "json", ndjson: "json" } as const;

/** Sends each value to a service, and passes on what it answers. */
export function httpStage(settings: StageSettings["http"], read: ReadVariable): Stage {
  const { url, method = "POST", body, pick, accepts = "text", answer = "json" } = settings;
  const secrets = Object.entries(settings.headers_env ?? {}).map(
    ([name, variable]) => [name, secretOf(read, variable, "headers_env")] as const,
  );
  const headers = { ...settings.headers, ...Object.fromEntries(secrets) };
  requireHeaders(settings.headers ?? {}, "headers");
  requireHeaders(Object.fromEntries(secrets), "headers_env");
  const emits = settings.emits ?? EMITS[answer];
  const service = new URL(url).origin;

  const requestFor = (input: unknown, { request, options, signal }: StageContext): ServiceRequest => ({
    ...{ service, url, method, headers, signal },
    timeoutMs: timeoutMsOf(settings),
    ...(method === "GET" ? {} : { body: body === undefined ? input : filled(body, { input, request, options }) }),
  });
  const picked = (value: unknown): unknown => {
    const found = pick === undefined ? value : valueAt(value, pick);
    // In JSON responses of services, audio is in base64.
    if (emits === "audio" && typeof found === "string") return Buffer.from(found, "base64");
    return emits === "text" && found !== undefined && found !== null && typeof found !== "string"
      ? JSON.stringify(found)
      : found;
  };

  return {
    accepts,
    emits,
    async *run(input, context) {
      for await (const value of input) {
        const request = requestFor(value, context);
        if (answer === "sse" || answer === "ndjson") {
          // Events without it are about something else, such as progress.
          for await (const each of valuesFrom(request, answer)) {
            const next = picked(each);
            if (next !== undefined && next !== null && next !== "") yield { next };
          }
          continue;
        }
        const bytes = await answerFrom(request);
        if (answer !== "json") yield { next: answer === "text" ? bytes.toString() : bytes };
        else {
          const next = picked(jsonFrom(request, bytes.toString()));
          if (next === undefined) throw failed(request, `answered with nothing at \`pick = ${JSON.stringify(pick)}\``);
          yield { next };
        }
      }
    },
    heartbeat: () => requireAnswer(service, url),
  };
}
